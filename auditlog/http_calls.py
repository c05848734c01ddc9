"""Records the HTTP that an agent speaks without a decorator around it: `record_http()`, or `configure(http="record")`.

The rules:

1. What is recorded is HTTP in a turn that stands in no recorded tool, retriever or model call: that is part of those. Requests
   to a model are model calls (`http_models`); through urllib3, and to embeddings and old completions, they are left out. Their
   bodies name a model. In a replay only an allowed host is a model's: what is sent to another, and everything else that is sent
   to an allowed one, is a tool's.
2. A request is a call of kind `tool` whose name is its method, its host and its path with ids left out; GET and HEAD read,
   everything else writes. A replay serves, misses and blocks it like any tool, and the body is never sent then.
3. Of a request's headers only its content type is recorded, of a response's those that hold no credential. What is called a
   password, a key or a token is masked (`http_secrets`), with a digest that lets a replay tell two values apart.
4. A response is recorded as its reader reads it, and handed on as it comes. Of one that is longer than anybody looks at, the
   record says only that: nothing is held in memory for it.
5. Below the clients: httpx (and what is built on it, the clients of OpenAI and Anthropic among them) and urllib3 (requests, and
   what is built on that) are met where they would open a connection, whether they are loaded already or only later. A process
   that does not opt in changes nothing, and one that does loads none of them. A replay meets `http.client`, too (`http_stdlib`).
6. The place of a request is its context: branches of `gather` and `to_thread` are told apart. On a thread that lost the context
   nothing is recorded, and in a replay nothing is served.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from auditlog import context, interception, masks
from auditlog.call import ActiveCall
from auditlog.decorators import begin, given
from auditlog.encoding.encode import MARK
from auditlog.http_content import exchange, response_of, told_response
from auditlog.http_models import ModelReading, begun_model, is_to_model, names_a_model, served_model
from auditlog.late_import import when_imported
from auditlog.recorder import log

_INSIDE = frozenset({"tool", "retriever", "model", "embedding", "guardrail"})
_LEFT_OUT = ("/completions", "/embeddings")
_MODULES = ("httpx", "httpx2", "urllib3")
_ONLY_IN_REPLAYS = ("http.client",)
MOST_BYTES = 16 << 20
"""Of a body that is longer the record says only that it was."""


class Begun(NamedTuple):
    """A request whose record has begun."""

    call: ActiveCall
    instead: bytes | None = None
    """The body to send in place of the request's own."""
    is_model: bool = False


class _State:
    on = False
    is_model: Callable[[str, int], bool] | None = None
    """In a replay: whether a host and port may be a model's."""


def record_http() -> None:
    """Record undecorated HTTP of this process's turns from here on."""
    masks.want()
    _turn_on(_MODULES)


def serve_http() -> None:
    """The same for a replay's case, which meets Python's own `http.client`, too."""
    _turn_on((*_MODULES, *_ONLY_IN_REPLAYS))


def _turn_on(names: tuple[str, ...]) -> None:
    _State.on = True
    for name in names:
        when_imported(name, _met)


def forget_http() -> None:
    """Record no more undecorated HTTP; clients keep working."""
    _State.on = False


def route(is_model: Callable[[str, int], bool] | None) -> None:
    """Say for a replay which hosts may be a model's.

    Args:
        is_model: says it of a host and a port.
    """
    _State.is_model = is_model


def is_on() -> bool:
    """Whether undecorated HTTP is recorded, or served."""
    return _State.on


def begun(method: str, url: str, headers: Any, body: bytes | None, *, models: bool = False) -> Begun | None:
    """Begin the record of a request; None where it is none of ours.

    Args:
        method: its method.
        url: its address, whole.
        headers: its headers.
        body: its body; None where it is streamed, and not at hand.
        models: whether requests to models are recorded, too.

    Raises:
        Exception: only while an interceptor is installed: what cannot be described to it does not happen.
    """
    if not _State.on:
        return None
    frame = context.current()
    intercepted = interception.installed() is not None
    if (frame is None and not intercepted) or getattr(frame, "kind", None) in _INSIDE:
        return None
    try:
        asked = exchange(method, url, headers, body)
    except Exception:
        if intercepted:
            raise
        log.warning("auditlog could not record an HTTP request; it goes on.")
        return None
    at_model = not intercepted or _State.is_model is None or _State.is_model(asked.host, asked.port)
    if method.upper() == "POST" and at_model:
        if is_to_model(asked.path, body):
            if not models or (frame is None and not intercepted):
                return None
            found = begun_model(asked, body)
            return None if found is None else Begun(*found, is_model=True)
        if asked.path.rstrip("/").endswith(_LEFT_OUT) and names_a_model(body):
            return None
    call = begin(asked.site, (), asked.arguments)
    return None if call is None else Begun(call)


class Reading:
    """Records one response while its reader reads it."""

    __slots__ = ("_call", "_ended", "_headers", "_held", "_pieces", "_status")

    def __init__(self, call: ActiveCall, status: int, headers: Any) -> None:
        """Begin with nothing read."""
        self._call, self._status = call, status
        self._headers = [(str(name), str(value)) for name, value in headers]
        self._pieces: list[bytes] = []
        self._held = 0
        self._ended = False

    def read(self, piece: bytes) -> None:
        """Keep what was read, up to a bound."""
        self._held += len(piece)
        if self._held <= MOST_BYTES:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def failed(self, error: BaseException) -> None:
        """End the record with what the reading raised."""
        if not self._ended:
            self._ended = True
            self._call.fail(error)

    def decoded(self, content: bytes) -> None:
        """End the record with a body that somebody decoded."""
        self.is_decoded()
        self.read(content)
        self.end()

    def is_decoded(self) -> None:
        """Know that what is read is decoded."""
        self._headers = [(name, value) for name, value in self._headers if name.lower() != "content-encoding"]

    def end(self, *, abandoned: bool = False) -> None:
        """End the record."""
        if self._ended:
            return
        self._ended = True
        try:
            told, lossy = told_response(self._status, self._headers, b"".join(self._pieces))
        except Exception:  # noqa: BLE001 - whoever reads a response is not disturbed by its record
            log.warning("auditlog could not tell an HTTP response; its reader has all of it.")
            told, lossy = {"status": self._status, "headers": [], "body": {MARK: "untold"}}, True
        if self._held > MOST_BYTES:
            told, lossy = {**told, "body": {MARK: "too long", "bytes": self._held}}, True
        if abandoned:
            self._call.facts["auditlog.stream.abandoned"] = True
        if abandoned or lossy:
            self._call.facts["auditlog.lossy"] = self._call.facts["auditlog.lossy_output"] = True
        self._call.succeed(told)


def _met(module: Any) -> None:
    """Stand before a library's connections; one that has others is said, and goes on."""
    try:
        _patch(module)
    except AttributeError:
        log.warning(
            "auditlog does not know this version of %s, and records none of its HTTP.", module.__name__
        )


def _patch(module: Any) -> None:
    if module.__name__ == "urllib3":
        from auditlog import http_urllib3

        http_urllib3.patch(module)
        return
    if module.__name__ == "http.client":
        from auditlog import http_stdlib

        http_stdlib.patch(module)
        return
    _patch_httpx(module)


def _patch_httpx(httpx: Any) -> None:
    """Stand before the two transports that open connections."""
    sync, later = httpx.HTTPTransport, httpx.AsyncHTTPTransport
    if hasattr(sync.handle_request, "__auditlog__"):
        return
    sync_stream, async_stream = _streams(httpx)
    handle, handle_later = sync.handle_request, later.handle_async_request

    @functools.wraps(handle)
    def handle_request(self: Any, request: Any) -> Any:
        found = begun(request.method, str(request.url), request.headers, _body(request), models=True)
        if found is None:
            return handle(self, request)
        call = found.call
        if call.answer is not None:
            return _served(httpx, found)
        if found.instead is not None:
            request = _with_body(httpx, request, found.instead)
        call.enter()
        try:
            response = handle(self, request)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        reading = (ModelReading if found.is_model else Reading)(
            call, response.status_code, response.headers.multi_items()
        )
        response.stream = sync_stream(response.stream, reading)
        return response

    @functools.wraps(handle_later)
    async def handle_async_request(self: Any, request: Any) -> Any:
        found = begun(request.method, str(request.url), request.headers, _body(request), models=True)
        if found is None:
            return await handle_later(self, request)
        call = found.call
        if call.answer is not None:
            return _served(httpx, found)
        if found.instead is not None:
            request = _with_body(httpx, request, found.instead)
        call.enter()
        try:
            response = await handle_later(self, request)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        reading = (ModelReading if found.is_model else Reading)(
            call, response.status_code, response.headers.multi_items()
        )
        response.stream = async_stream(response.stream, reading)
        return response

    handle_request.__auditlog__ = handle_async_request.__auditlog__ = True  # type: ignore[attr-defined]
    sync.handle_request, later.handle_async_request = handle_request, handle_async_request


def _body(request: Any) -> bytes | None:
    """Give a request's body where it is at hand; None for one that is streamed."""
    try:
        return bytes(request.content)
    except Exception:  # noqa: BLE001 - a body that was not read: reading it here would use it up
        return None


def _with_body(httpx: Any, request: Any, body: bytes) -> Any:
    headers = [
        (name, value) for name, value in request.headers.multi_items() if name.lower() != "content-length"
    ]
    return httpx.Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def _served(httpx: Any, found: Begun) -> Any:
    """Make the response that a recording holds."""
    call = found.call
    if found.is_model:
        status, headers, content = served_model(call)
        return httpx.Response(status, headers=headers, content=content)
    assert call.answer is not None
    try:
        value = given(call.answer)
        status, headers, content = response_of(value)
    except BaseException as error:
        call.fail(error)
        raise
    call.succeed(value)
    return httpx.Response(status, headers=headers, content=content)


@functools.cache
def _streams(httpx: Any) -> tuple[type, type]:
    """Make the streams that hand on a response's bytes and keep them."""

    class RecordedBytes(httpx.SyncByteStream):
        """A response's bytes."""

        def __init__(self, source: Any, reading: Reading | ModelReading) -> None:
            self._source, self._reading = source, reading

        def __iter__(self) -> Iterator[bytes]:
            try:
                for piece in self._source:
                    self._reading.read(piece)
                    yield piece
            except GeneratorExit:
                raise
            except BaseException as error:
                self._reading.failed(error)
                raise
            self._reading.end()

        def close(self) -> None:
            self._source.close()
            self._reading.end(abandoned=True)

    class RecordedBytesLater(httpx.AsyncByteStream):
        """A response's bytes, read asynchronously."""

        def __init__(self, source: Any, reading: Reading | ModelReading) -> None:
            self._source, self._reading = source, reading

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in self._source:
                    self._reading.read(piece)
                    yield piece
            except GeneratorExit:
                raise
            except BaseException as error:
                self._reading.failed(error)
                raise
            self._reading.end()

        async def aclose(self) -> None:
            await self._source.aclose()
            self._reading.end(abandoned=True)

    return RecordedBytes, RecordedBytesLater
