"""Masks secrets in what HTTP carries: queries, forms, JSON, other text, multipart bodies, paths, and addresses in headers.

The rules:

1. What has a name is masked by it, at any depth: a text, a number, and texts in a list. A name counts by what it ends with,
   whatever its case and its separators: `accessToken`, `client-secret`, `user[password]`, `x-api-key`. Where pages go on
   (`next_page_token`) is none. `key` and `code`, and what ends so, count where their value looks like a secret.
2. A piece of a path is masked where it is an id that looks like a secret, or stands after a word such as `webhooks`.
3. In other text, `name: value`, `name=value`, an XML element and a part of a multipart body are masked by their names, where the
   value is more than a word.
4. In an address that a header holds, the same is masked as in a request's; what a replay hands out leads to the same request.
"""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from auditlog.masks import Masker, is_masked

_NO_LETTER = re.compile(r"[^a-z0-9]")
_ENDINGS = tuple(
    "secret token apikey accesskey accesskeyid secretkey privatekey signingkey encryptionkey sharedkey subscriptionkey appkey "
    "authkey accountkey masterkey functionskey authorization signature credential credentials bearer jwt cookie".split()
)
_CONTAINED = ("password", "passwd", "passphrase")
_WHOLE = frozenset("sig pwd pin otp cvc cvv auth sas csrf xsrf authcode authorizationcode".split())
_WHERE_PAGES_GO_ON = tuple(
    "pagetoken nexttoken previoustoken prevtoken continuationtoken synctoken cursortoken".split()
)

_WRITTEN = re.compile(r"[\w.~:+/=-]{20,512}")
_PLAIN_ID = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|[0-9a-f]+|[0-9A-F]+"  # a number, a digest
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"  # a ULID
    r"|(?!(?:sk|rk|whsec|gh[oprsu]|glpat|xox[a-z]|key|token|secret|pat|api)_)[a-z]{1,12}_[A-Za-z0-9]{8,32}"  # `cus_…`
    r"|.*\.[A-Za-z]{2,5}"  # a file
)


_PLAIN_SEGMENT = re.compile(r"[A-Za-z_.~-]+|v\d+(?:\.\d+)?")
_BEFORE_SECRETS = frozenset(
    "webhook webhooks hook hooks token tokens secret key password reset confirm verify invite unsubscribe magic".split()
)
_ADDRESSES = frozenset({"location", "content-location"})
DEEPEST = 200

_TELLING = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "key",
    "authorization",
    "signature",
    "credential",
)
_ELEMENT = re.compile(r"(<(?:[\w.-]+:)?([\w.-]+)(?:\s[^<>]{0,2000})?>)([^<>]{1,4096})(?=</)")
_PAIR = re.compile(
    r"""(?P<head>(?<![\w.\-\[\]])(?P<name>[\w.\-\[\]]{2,64})["']?\s{0,4}[:=]\s{0,4}["']?(?:(?:Bearer|Basic)\s+)?)"""
    r"""(?P<value>[^\s"'&,;<>{}()]{4,4096})"""
)
_PART = re.compile(
    rb"(content-disposition:[^\r\n]{0,500}?\bname=\"?([^\"\r\n;]{1,200})\"?[^\r\n]{0,500}\r?\n(?:[^\r\n]{1,500}\r?\n){0,8}\r?\n)"
    rb"([^\r\n]{1,65536})",
    re.IGNORECASE,
)


def is_secret(name: str, value: Any) -> bool:
    """Say whether a value is one that is not recorded.

    Args:
        name: what it is called.
        value: the value.
    """
    if isinstance(value, bool) or value is None or value == "":
        return False
    match _called(name):
        case "secret":
            return True
        case "token":
            return not isinstance(value, int | float)
        case "tokens":
            return isinstance(value, str) or _some_drawn(value)
        case "drawn":
            return isinstance(value, str) and _drawn(value)
        case _:
            return False


@functools.lru_cache(maxsize=4096)
def _called(name: str) -> str:
    """Say what a name means: a secret, one where it is no number, one where it is drawn, or none."""
    plain = _NO_LETTER.sub("", name.lower()).rstrip("0123456789")
    single = plain.removesuffix("s") if plain.endswith("tokens") else plain
    if not plain or single.endswith(_WHERE_PAGES_GO_ON):
        return "none"
    if single != plain:
        return "tokens"
    if plain.endswith("token"):
        return "token"
    if plain in _WHOLE or plain.endswith(_ENDINGS) or any(part in plain for part in _CONTAINED):
        return "secret"
    # A country's code and a sort key are none.
    return "drawn" if plain.endswith(("key", "code")) else "none"


def _some_drawn(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, str) and _drawn(item) for item in value)


def _drawn(text: str) -> bool:
    return is_masked(text) or (_WRITTEN.fullmatch(text) is not None and any(map(str.isdigit, text)))


def looks_secret(text: str) -> bool:
    """Say whether a text looks drawn by chance, and is no id of a usual form."""
    if is_masked(text):
        return True
    if not _drawn(text) or _PLAIN_ID.fullmatch(text):
        return False
    upper, lower = any(map(str.isupper, text)), any(map(str.islower, text))
    return (upper and lower) or (len(text) >= 32 and text.isalnum() and (upper or lower))


def masked_query(query: str, masker: Masker) -> str:
    """Mask a query, or a form as text; bytes that are no UTF-8 stay what they are."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return urlencode(
        [(name, masker.mask(value) if is_secret(name, value) else value) for name, value in pairs],
        errors="surrogateescape",
    )


def is_id(segment: str) -> bool:
    """Say whether a piece of a path is no plain word."""
    return bool(segment) and _PLAIN_SEGMENT.fullmatch(segment) is None


def masked_path(path: str, masker: Masker) -> str:
    """Mask the pieces of a path that look like secrets."""
    told, before = [], ""
    for segment in path.split("/"):
        plain = unquote(segment)
        after_word = before in _BEFORE_SECRETS and len(plain) >= 16 and not plain.isdigit()
        secret = is_id(segment) and (after_word or looks_secret(plain))
        told.append(masker.mask(plain) if secret else segment)
        before = before if segment.isdigit() else plain.lower()
    return "/".join(told)


def masked_address(url: str, masker: Masker) -> str:
    """Mask an address that a header holds; what cannot be read as one is masked whole."""
    try:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
    except ValueError:
        return masker.mask(url)
    masker.found = masker.found or where != parts.netloc
    path, query = masked_path(parts.path, masker), _as_it_was(parts.query, masker)
    return urlunsplit((parts.scheme, where, path, query, _as_it_was(parts.fragment, masker)))


def _as_it_was(query: str, masker: Masker) -> str:
    """Mask a query, and leave one without a secret as it is written."""
    if not any(is_secret(name, value) for name, value in parse_qsl(query, keep_blank_values=True)):
        return query
    return masked_query(query, masker)


def masked_header(name: str, value: str, masker: Masker) -> str:
    """Mask a header's value where it is an address."""
    return masked_address(value, masker) if name in _ADDRESSES else value


def masked_body(told: Any, masker: Masker) -> Any:
    """Mask a body as `http_content` tells it.

    Raises:
        RecursionError: JSON that is nested more deeply than anybody writes it.
    """
    match told:
        case {"json": value}:
            return {"json": _json(value, masker, 0)}
        case {"form": list(pairs)}:
            return {
                "form": [
                    [name, masker.mask(value) if is_secret(str(name), value) else value]
                    for name, value in pairs
                ]
            }
        case {"text": str(text)}:
            return {"text": masked_text(text, masker)}
        case _:
            return told


def masked_text(text: str, masker: Masker) -> str:
    """Mask what is called a secret in a text that is neither JSON nor a form."""

    def element(found: re.Match[str]) -> str:
        head, name, value = found.groups()
        return head + masker.mask(value) if is_secret(name, value) else found[0]

    def pair(found: re.Match[str]) -> str:
        value = found["value"]
        if is_secret(found["name"], value) and _more_than_a_word(value):
            return found["head"] + masker.mask(value)
        return found[0]

    def line(text: str) -> str:
        # Looking for a few words is a hundredth of the work.
        lower = text.lower()
        return (
            _PAIR.sub(pair, _ELEMENT.sub(element, text)) if any(word in lower for word in _TELLING) else text
        )

    return "".join(map(line, text.splitlines(keepends=True)))


def masked_parts(body: bytes, masker: Masker) -> bytes:
    """Mask the fields of a multipart body by their names."""

    def part(found: re.Match[bytes]) -> bytes:
        head, name, value = found.groups()
        said = value.decode("utf-8", "surrogateescape")
        told = is_secret(name.decode("utf-8", "replace"), said)
        return head + masker.mask(said.encode("utf-8", "replace").decode()).encode() if told else found[0]

    return _PART.sub(part, body)


def _more_than_a_word(value: str) -> bool:
    return len(value) >= 12 or not value.isalpha()


def _json(value: Any, masker: Masker, depth: int) -> Any:
    if depth > DEEPEST:
        raise RecursionError
    match value:
        case dict():
            return {
                name: _named(item, masker, depth + 1)
                if is_secret(name, item)
                else _json(item, masker, depth + 1)
                for name, item in value.items()
            }
        case list():
            return [_json(item, masker, depth + 1) for item in value]
        case _:
            return value


def _named(value: Any, masker: Masker, depth: int) -> Any:
    """Mask what stands under the name of a secret."""
    match value:
        case dict():
            return _json(value, masker, depth)
        case list():
            return [
                _json(item, masker, depth + 1) if isinstance(item, dict | list) else masker.mask(item)
                for item in value
            ]
        case _:
            return masker.mask(value)
