"""What a wrapped client's answers become: streams and raw responses that are recorded while their reader reads them.

The rules:

1. A client's stream stays the object that the client gave, and an instance of its class: only its steps are looked at. One
   that cannot be changed so is handed out behind a `RecordedStream`, which can do all that it could.
2. A raw response is recorded by the bytes that its reader reads, since reading them here would be reading ahead; one that
   was read already is recorded at once.
3. A record ends when the stream does, when it or its connection is closed, or when it is forgotten.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import orjson

from auditlog.call import ActiveCall

_LAST = frozenset({"message_stop", "response.completed", "response.failed", "response.incomplete"})
"""Types of events behind which nothing comes."""
_DONE = b"[DONE]"


def recorded_stream(call: ActiveCall, source: Any) -> Any:
    """Record a stream item by item."""
    is_async = hasattr(type(source), "__anext__")
    response = getattr(source, "response", None)
    if response is not None:
        steps = _Steps(call, of=id(source))
        try:
            source.auditlog_steps = steps
            source.__class__ = _recording(type(source), is_async=is_async)
        except (AttributeError, TypeError):
            pass
        else:
            # Helpers around a stream close its connection, and not the stream.
            closing = _then(steps.closed)
            _watch(response, {"close": closing, "aclose": closing})
            return source
    return RecordedAsyncStream(call, source) if is_async else RecordedStream(call, source)


class _Steps:
    """Records the steps of one stream."""

    __slots__ = ("_ended", "_stepping", "call", "of")

    def __init__(self, call: ActiveCall, *, of: int = 0) -> None:
        self.call = call
        self.of = of
        self._stepping = self._ended = False

    def step(self, following: Callable[[], Any]) -> Any:
        self.call.enter()
        self._stepping = True
        try:
            item = following()
        except StopIteration:
            self.call.exhaust()
            raise
        except BaseException as error:
            self.call.fail(error)
            raise
        finally:
            self._stepping = False
            self.call.leave()
        self.call.chunk(item)
        # Helpers read no further than the event that is the last.
        self._ended = getattr(item, "type", None) in _LAST
        return item

    async def step_later(self, following: Callable[[], Any]) -> Any:
        self.call.enter()
        self._stepping = True
        try:
            item = await following()
        except StopAsyncIteration:
            self.call.exhaust()
            raise
        except BaseException as error:
            self.call.fail(error)
            raise
        finally:
            self._stepping = False
            self.call.leave()
        self.call.chunk(item)
        # Helpers read no further than the event that is the last.
        self._ended = getattr(item, "type", None) in _LAST
        return item

    def closed(self) -> None:
        # A stream that ends closes its connection before it says that it ended.
        if not self._stepping:
            self.call.exhaust(abandoned=not self._ended)


@functools.cache
def _recording(kind: type, *, is_async: bool) -> type:
    """Make the class of a stream that is recorded; its name and module are those of the client's."""

    def step(self: Any) -> Any:
        return self.auditlog_steps.step(lambda: kind.__next__(self))  # type: ignore[attr-defined]

    async def step_later(self: Any) -> Any:
        return await self.auditlog_steps.step_later(lambda: kind.__anext__(self))  # type: ignore[attr-defined]

    def same(self: Any) -> Any:
        return self

    def forgotten(self: Any) -> None:
        # A copy shares what the stream is recorded by, and does not end it.
        if self.auditlog_steps.of == id(self):
            self.auditlog_steps.closed()

    steps = {"__aiter__": same, "__anext__": step_later} if is_async else {"__iter__": same, "__next__": step}
    return _like(kind, {**steps, "__del__": forgotten})


def _watch(thing: Any, around: dict[str, Callable[..., Any]]) -> None:
    """Put functions around methods of one object, where it has them.

    Nothing that is put onto the object refers to it: who drops a stream expects its connection to be closed at once.
    """
    kind = type(thing)
    names = tuple(name for name in around if callable(getattr(kind, name, None)))
    with contextlib.suppress(AttributeError, TypeError):
        thing.auditlog_around = around
        thing.__class__ = _watched(kind, names)


@functools.cache
def _watched(kind: type, names: tuple[str, ...]) -> type:
    def watched(name: str) -> Callable[..., Any]:
        original = getattr(kind, name)

        def around(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self.auditlog_around[name](functools.partial(original, self), *args, **kwargs)

        return around

    return _like(kind, {name: watched(name) for name in names})


def _like(kind: type, members: dict[str, Any]) -> type:
    """Make a subclass with the name and module of its class."""
    told = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), told | members)


def _then(do: Callable[[], None]) -> Callable[..., Any]:
    def closing(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        do()
        return original(*args, **kwargs)

    return closing


def is_raw(result: Any) -> bool:
    """Whether a result is a response that its reader parses, and not what the model said."""
    return hasattr(result, "http_response") and callable(getattr(result, "parse", None))


def record_response(call: ActiveCall, raw: Any) -> None:
    """Record a response by the bytes that are read of it."""
    http = raw.http_response
    streams = "event-stream" in str(http.headers.get("content-type", ""))
    if http.is_closed:
        call.succeed(_json(bytes(http.content)))
        return
    reading = _Reading(call, streams=streams)
    closing = _then(reading.closed)
    read, read_later = reading.watched, reading.watched_later
    _watch(http, {"iter_bytes": read, "aiter_bytes": read_later, "close": closing, "aclose": closing})


class _Reading:
    """Records what is read of one response."""

    def __init__(self, call: ActiveCall, *, streams: bool) -> None:
        self._call = call
        self._streams = streams
        self._rest = b""
        self._stepping = self._ended = False

    def watched(self, original: Callable[..., Iterator[bytes]], *args: Any, **kwargs: Any) -> Iterator[bytes]:
        source = original(*args, **kwargs)
        while True:
            self._stepping = True
            try:
                piece = next(source)
            except StopIteration:
                self._end(abandoned=False)
                return
            except BaseException as error:
                self._call.fail(error)
                raise
            finally:
                self._stepping = False
            self._keep(piece)
            yield piece

    async def watched_later(
        self, original: Callable[..., AsyncIterator[bytes]], *args: Any, **kwargs: Any
    ) -> AsyncIterator[bytes]:
        source = original(*args, **kwargs)
        while True:
            self._stepping = True
            try:
                piece = await anext(source)
            except StopAsyncIteration:
                self._end(abandoned=False)
                return
            except BaseException as error:
                self._call.fail(error)
                raise
            finally:
                self._stepping = False
            self._keep(piece)
            yield piece

    def closed(self) -> None:
        if not self._stepping:
            self._end(abandoned=not self._ended)

    def _keep(self, piece: bytes) -> None:
        self._rest += piece
        if not self._streams:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            said = line[5:].strip()
            event = None if said == _DONE else _json(said)
            if event is not None:
                self._call.chunk(event)
            self._ended = event is None or (isinstance(event, dict) and event.get("type") in _LAST)

    def _end(self, *, abandoned: bool) -> None:
        if self._streams:
            self._call.exhaust(abandoned=abandoned)
        elif abandoned and not self._rest:
            self._call.exhaust(abandoned=True)
        else:
            self._call.succeed(_json(self._rest))


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")


class _Served:
    """Stands for the connection of a stream that a replay hands out."""

    status_code = 200

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.is_closed = True

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class ServedResponse:
    """A raw response that a replay hands out: what was recorded, parsed."""

    def __init__(self, value: Any, *, is_async: bool) -> None:
        """Stand for a client's own."""
        self.http_response = _Served()
        self.headers = self.http_response.headers
        self.status_code = self.http_response.status_code
        self._value = value
        self._is_async = is_async

    def parse(self, **_: Any) -> Any:
        """Give what was recorded."""
        return _later_value(self._value) if self._is_async else self._value

    def close(self) -> None:
        """Do nothing: there is no connection."""


async def _later_value(value: Any) -> Any:
    return value


class _Recorded:
    """What both kinds of stream share: whatever else the client's own can do is its own."""

    def __init__(self, call: ActiveCall, source: Any) -> None:
        """Stand before a client's stream."""
        self.call = call
        self.source = source

    def __getattr__(self, name: str) -> Any:
        if name in ("call", "source"):
            raise AttributeError(name)  # A copy that was never filled.
        if name == "response" and not hasattr(self.source, "response"):
            return _Served()
        return getattr(self.source, name)

    def __del__(self) -> None:
        # A consumer that just stops: what came so far is what there was.
        self.call.exhaust(abandoned=True)


class RecordedStream(_Recorded):
    """A client's stream that is recorded item by item."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return _Steps(self.call).step(self.source.__next__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the client's stream, and end the record."""
        try:
            if callable(close := getattr(self.source, "close", None)):
                close()
        finally:
            self.call.exhaust(abandoned=True)


class RecordedAsyncStream(_Recorded):
    """A client's asynchronous stream that is recorded item by item."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await _Steps(self.call).step_later(self.source.__anext__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client's stream, and end the record."""
        try:
            close = getattr(self.source, "close", None) or getattr(self.source, "aclose", None)
            if callable(close):
                await close()
        finally:
            self.call.exhaust(abandoned=True)
