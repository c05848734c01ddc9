"""What is recorded of a request and its response, and the response that a replay makes of it again.

The rules:

1. A request is known by its method, its address without credentials, its content type and its body, as JSON where it is JSON,
   else as form fields, else as text, else as bytes. Where a form loses something, the next one is taken: two requests that say
   different things are two, and an answer is handed out with all that it said.
2. A response is its status, its headers but for those that may hold a credential, and its body, decoded, in the same forms.
3. Secrets are masked wherever they have a name, and in paths where they look like one (`http_secrets`). A response in whose body
   something was masked is lossy; one whose `location` leads to a masked address is not, since its masks lead there again.
4. A body that is sent as a stream is not at hand, and so is marked as lost: such a request equals no other. Nor does one that was
   masked without a key.
5. What a replay hands out is the decoded body: headers that speak of another encoding or length are left out.

Pure, but for httpx's decoders, which are asked where a response is compressed.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from auditlog import masks
from auditlog.call import Site
from auditlog.encoding.encode import MARK
from auditlog.http_json import exact_text, loses
from auditlog.http_secrets import is_id, masked_body, masked_header, masked_parts, masked_path, masked_query
from auditlog.operation import Operation

SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|key|session|credential|signature|password", re.IGNORECASE
)
_OF_THE_WIRE = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"}
)
_BOUNDARY = re.compile(r""";\s*boundary=(?:"([^"]+)"|([^;\s"]+))""", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Exchange(NamedTuple):
    """A request, as it is recorded."""

    site: Site
    arguments: dict[str, Any]
    host: str
    port: int
    path: str


def exchange(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Exchange:
    """Tell a request.

    Args:
        method: its method.
        url: its address, whole.
        headers: its headers; only the content type is looked at.
        body: its body; None where it is not at hand.
    """
    method = method.upper()
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    default = _DEFAULT_PORTS.get(parts.scheme, 0)
    port = parts.port or default
    where = host if port == default else f"{host}:{port}"
    masker = masks.Masker(masks.key())
    path, query = masked_path(parts.path or "/", masker), masked_query(parts.query, masker)
    content_type = str(headers.get("content-type", "") or "")
    arguments: dict[str, Any] = {
        "method": method,
        "url": urlunsplit((parts.scheme, where, path, query, "")),
    }
    if body is None:
        arguments["body"] = {MARK: "streamed"}
    elif body:
        arguments["content_type"] = kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith("multipart/"):
            # A boundary is drawn anew for each request, and says nothing.
            plain = _without_boundary(body, content_type)
            if plain is None:
                arguments["content_type"] = content_type.strip()
            body = body if plain is None else plain
        arguments["body"] = _told(body, content_type, masker)
    if masker.lost:
        arguments["masked"] = {MARK: "masked"}
    return Exchange(_site(method, where, template(parts.path)), arguments, host, port, parts.path)


def template(path: str) -> str:
    """Give a path with a sign in the place of what looks like an id."""
    segments = path.split("/")
    return "/".join("{id}" if is_id(segment) else segment for segment in segments) or "/"


def told_response(status: int, headers: Iterable[tuple[str, str]], raw: bytes) -> tuple[dict[str, Any], bool]:
    """Tell a response; say whether something of it is not told.

    Args:
        status: its status code.
        headers: its headers, by name and value.
        raw: its body, as it came over the wire.
    """
    found = [(name.lower(), value) for name, value in headers]
    encoding = next((value for name, value in found if name == "content-encoding"), "")
    content_type = next((value for name, value in found if name == "content-type"), "")
    content, whole = decoded(raw, encoding)
    in_body, in_headers = masks.Masker(masks.key()), masks.Masker(masks.key())
    kept = [
        [name, masked_header(name, value, in_headers)]
        for name, value in found
        if name not in _OF_THE_WIRE and not SECRET_HEADER.search(name)
    ]
    told = {"status": status, "headers": kept, "body": _told(content, content_type, in_body)}
    return told, in_body.found or in_headers.lost or not whole


def response_of(told: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """Make a response of what was recorded: status, headers, body.

    Raises:
        ValueError: a recording that is none of a response.
    """
    match told:
        case {"status": int(status), "headers": list(headers), "body": body}:
            return status, [(str(name), str(value)) for name, value in headers], _content(body)
        case _:
            msg = "the recording holds no HTTP response in the place of one"
            raise ValueError(msg)


@functools.lru_cache(maxsize=512)
def _site(method: str, host: str, path: str) -> Site:
    effect = "read" if method in ("GET", "HEAD") else "write"
    name = f"http {method} {host}{path}"
    attributes = {
        "gen_ai.tool.name": name,
        "auditlog.tool.effect": effect,
        "http.request.method": method,
        "server.address": host,
    }
    return Site(Operation("tool", name, effect=effect, attributes=attributes), _asked)


def _asked(**_: Any) -> None:
    """Stand for a function whose arguments are recorded as they are given."""


def _told(content: bytes, content_type: str, masker: masks.Masker) -> Any:
    """Give content as JSON, masked: {"json": …}, {"form": …}, {"text": …} or {"base64": …}; None for none."""
    if not content:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        # What is no JSON, or is nested as nobody writes it, is told as text.
        with contextlib.suppress(orjson.JSONDecodeError, RecursionError):
            parsed = orjson.loads(content)
            if loses(content, parsed):
                return {"text": exact_text(content, masker)}
            return masked_body({"json": parsed}, masker)
    if kind == "application/x-www-form-urlencoded":
        return _told_form(content.decode("utf-8", "surrogateescape"), masker)
    if kind.startswith("multipart/"):
        content = masked_parts(content, masker)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    return masked_body({"text": text}, masker)


def _told_form(text: str, masker: masks.Masker) -> Any:
    """Give a form's fields; where bytes in it are no UTF-8, the form as it is written."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        # What stands in it unquoted may be none, too.
        text.encode()
    except UnicodeError:
        return {"text": masked_query(text, masker)}
    return masked_body({"form": [list(pair) for pair in pairs]}, masker)


def _content(told: Any) -> bytes:
    match told:
        case None:
            return b""
        case {"json": value}:
            return orjson.dumps(value)
        case {"text": str(text)}:
            return text.encode()
        case {"form": list(pairs)}:
            return urlencode([(str(name), str(value)) for name, value in pairs]).encode()
        case {"base64": str(text)}:
            return base64.b64decode(text)
        case _:
            msg = "the recorded body is in no form that this version knows"
            raise ValueError(msg)


def _without_boundary(body: bytes, content_type: str) -> bytes | None:
    """Give a multipart body with one boundary in the place of its own; None where that would not be the same body."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    boundary = (found[1] or found[2]).encode()
    told = re.compile(rb"(?:\A|(?<=\r\n))--" + re.escape(boundary) + rb"(?=(?:--)?[ \t]*(?:\r\n|\Z))")
    # What looks like the boundary that is told, and is none, would be one.
    return None if boundary != b"boundary" and b"--boundary" in body else told.sub(b"--boundary", body)


def decoded(raw: bytes, encoding: str) -> tuple[bytes, bool]:
    """Give a body without its encoding, and whether that is known here."""
    match encoding.strip().lower():
        case "" | "identity":
            return raw, True
        case "gzip" | "x-gzip":
            decode = gzip.decompress
        case "deflate":
            decode = _inflated
        case "br" | "zstd" as name:
            decode = _by_library(name)
        case _:
            return raw, False
    try:
        return decode(raw), True
    except Exception:  # noqa: BLE001 - a body that is cut off, or is not what its header says
        return raw, not raw


def _inflated(raw: bytes) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error:
        return zlib.decompress(raw, -zlib.MAX_WBITS)


def _by_library(name: str) -> Any:
    def decode(raw: bytes) -> bytes:
        import importlib

        if name == "br":
            for module in ("brotli", "brotlicffi"):
                try:
                    return importlib.import_module(module).decompress(raw)
                except ImportError:
                    continue
            raise ImportError(name)
        return importlib.import_module("zstandard").ZstdDecompressor().decompressobj().decompress(raw)

    return decode
