"""Records the HTTP that goes through urllib3: requests, and what is built on it.

The rules are those of `http_calls`, and one more: a response is read whole before it is handed on, since its reader may read it
in many ways. A stream of events has no end to wait for: it is handed on as it comes, and its body is not recorded.
"""

from __future__ import annotations

import functools
import io
from typing import Any

from auditlog.call import ActiveCall
from auditlog.decorators import given
from auditlog.http_calls import Reading, begun
from auditlog.http_content import response_of

_GONE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that are not true of a body that was read and decoded."""


def patch(urllib3: Any) -> None:
    """Stand before the pools that open connections."""
    pool = urllib3.HTTPConnectionPool
    original = pool.urlopen
    if hasattr(original, "__auditlog__"):
        return

    @functools.wraps(original)
    def urlopen(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        found = begun(method, _whole(self, url), headers or self.headers or {}, _bytes(body))
        if found is None:
            return original(self, method, url, body, headers, *args, **kwargs)
        call = found.call
        if call.answer is not None:
            return _served(urllib3, call, method, url, preload=kwargs.get("preload_content", True))
        call.enter()
        try:
            response = original(self, method, url, body, headers, *args, **kwargs)
            reading = Reading(call, response.status, response.headers.items())
            if "event-stream" in str(response.headers.get("content-type", "")):
                reading.end(abandoned=True)
                return response
            content = (
                response.data if kwargs.get("preload_content", True) else response.read(decode_content=False)
            )
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        if kwargs.get("preload_content", True):
            reading.decoded(content)
            return response
        reading.read(content)
        reading.end()
        return _again(urllib3, response, content, method, url)

    urlopen.__auditlog__ = True  # type: ignore[attr-defined]
    pool.urlopen = urlopen


def _whole(pool: Any, url: str) -> str:
    if url.startswith(("http://", "https://")):
        return url
    host = f"[{pool.host}]" if ":" in str(pool.host) else pool.host
    return f"{pool.scheme}://{host}{'' if pool.port is None else f':{pool.port}'}{url}"


def _bytes(body: Any) -> bytes | None:
    match body:
        case None:
            return b""
        case bytes() | bytearray():
            return bytes(body)
        case str():
            return body.encode("utf-8", "replace")
        case _:
            return None


def _again(urllib3: Any, response: Any, content: bytes, method: str, url: str) -> Any:
    """Make a response like the one that was read."""
    made = urllib3.HTTPResponse(
        body=io.BytesIO(content),
        headers=response.headers,
        status=response.status,
        version=response.version,
        reason=response.reason,
        preload_content=False,
        decode_content=response.decode_content,
        retries=response.retries,
        request_method=method,
        request_url=url,
    )
    # Whoever looks for cookies looks for them there.
    made._original_response = response._original_response  # noqa: SLF001 - where requests finds it
    return made


def _served(urllib3: Any, call: ActiveCall, method: str, url: str, *, preload: bool) -> Any:
    """Make the response that a recording holds."""
    assert call.answer is not None
    try:
        value = given(call.answer)
        status, headers, content = response_of(value)
    except BaseException as error:
        call.fail(error)
        raise
    call.succeed(value)
    return urllib3.HTTPResponse(
        body=io.BytesIO(content),
        headers=urllib3.HTTPHeaderDict([pair for pair in headers if pair[0] not in _GONE]),
        status=status,
        preload_content=preload,
        request_method=method,
        request_url=url,
    )
