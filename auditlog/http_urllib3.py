"""Records the HTTP that goes through urllib3: requests, and what is built on it.

The rules are those of `http_calls`, and two more:

1. A response that its reader reads piece by piece is handed on as it is; what is read of it is looked at where all ways of
   reading meet: `read`, `read1` and `read_chunked`. Nothing is read before the reader asks for it.
2. One that is read partly decoded and partly not is recorded as left half-way.
3. Nothing that looks at a response keeps it: one that is dropped gives its connection back at once.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
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
            content = response.data if kwargs.get("preload_content", True) else None
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        if content is not None:
            reading.decoded(content)
        else:
            _watch(response, reading)
        return response

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


class _Watched:
    """One response, and what was read of it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._decodes: bool | None = None
        self._inside = False
        self._mixed = False

    def piece(self, response: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Read a piece; one way of reading is made of another, and only the outermost is looked at."""
        if self._inside:
            return function(*args, **kwargs)
        self._inside = True
        try:
            found = function(*args, **kwargs)
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self._inside = False
        self.take(response, found, kwargs.get("decode_content", args[1] if len(args) > 1 else None))
        return found

    def take(self, response: Any, found: Any, decodes: bool | None) -> None:
        """Look at a piece, and end the record where it was the last."""
        decodes = bool(response.decode_content if decodes is None else decodes)
        self._mixed = self._mixed or self._decodes not in (None, decodes)
        self._decodes = decodes
        if isinstance(found, bytes) and found:
            self._reading.read(found)
        if not _goes_on(response):
            self.end()

    def failed(self, error: BaseException) -> None:
        """End the record with what the reading raised."""
        self._reading.failed(error)

    def end(self, *, abandoned: bool = False) -> None:
        """End the record."""
        if self._decodes:
            self._reading.is_decoded()
        self._reading.end(abandoned=abandoned or self._mixed)


def _watch(response: Any, reading: Reading) -> None:
    """Have a response looked at while it is read."""
    watched = _Watched(reading)
    if not _goes_on(response):
        watched.end()
        return
    try:
        response.__class__ = _watched_class(type(response))
    except TypeError:
        watched.end(abandoned=True)
    else:
        response.auditlog_watched = watched


@functools.lru_cache(maxsize=64)
def _watched_class(kind: Any) -> type:
    """Make the class of the responses of one class that are looked at.

    Its methods are a class's: those of an instance would be a cycle, and keep a dropped response until the collector runs.
    """

    class Watched(kind):
        """A response, looked at while it is read."""

        @functools.wraps(kind.read)
        def read(self, *args: Any, **kwargs: Any) -> Any:
            return self.auditlog_watched.piece(self, super().read, args, kwargs)

        if hasattr(kind, "read1"):

            @functools.wraps(kind.read1)
            def read1(self, *args: Any, **kwargs: Any) -> Any:
                return self.auditlog_watched.piece(self, super().read1, args, kwargs)

        @functools.wraps(kind.read_chunked)
        def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            decodes = kwargs.get("decode_content", args[1] if len(args) > 1 else None)
            try:
                for found in super().read_chunked(*args, **kwargs):
                    self.auditlog_watched.take(self, found, decodes)
                    yield found
            except GeneratorExit:
                raise
            except BaseException as error:
                self.auditlog_watched.failed(error)
                raise
            self.auditlog_watched.end()

        @functools.wraps(kind.close)
        def close(self) -> None:
            super().close()
            self.auditlog_watched.end(abandoned=True)

    Watched.__name__, Watched.__qualname__, Watched.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return Watched


def _goes_on(response: Any) -> bool:
    """Whether there is more to read."""
    left = getattr(response, "_decoded_buffer", None)
    source = getattr(response, "_fp", None)
    return bool(left is not None and len(left)) or not (source is None or _is_closed(source))


def _is_closed(source: Any) -> bool:
    for name in ("isclosed", "closed"):
        found = getattr(source, name, None)
        if found is not None:
            return bool(found() if callable(found) else found)
    return False


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
