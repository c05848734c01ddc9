"""`auditlog.wrap(client)`: records what an OpenAI or Anthropic client asks a model, without a function around it.

The rules:

1. The client is not subclassed and not copied: the methods `create` of its resources are put in place of themselves, on
   this one object. What it is is told by what it has; no client library is imported.
2. An answer is handed out as it came. A stream is handed out as one that can do all that it could, and is recorded when
   it ends, is closed, or is forgotten.
3. Headers are not recorded: they hold keys.
4. In a replay, a recorded answer is handed out in place of the call, to an asynchronous client as an awaitable.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar

from auditlog.call import ActiveCall, Site
from auditlog.decorators import begin, given
from auditlog.errors import ConfigurationError
from auditlog.operation import Operation

C = TypeVar("C")

_RESOURCES = ("chat.completions", "responses", "messages")
_UNRECORDED = frozenset({"extra_headers", "extra_query", "http_client", "timeout"})


def wrap(client: C) -> C:
    """Record every `create` of a client's chat completions, responses or messages; give the same client back.

    Args:
        client: an OpenAI or Anthropic client, synchronous or asynchronous, or one that looks like it.

    Raises:
        ConfigurationError: it has none of these resources.
    """
    provider = type(client).__module__.partition(".")[0]
    found = False
    for path in _RESOURCES:
        resource = _resource(client, path)
        create = getattr(resource, "create", None)
        if not callable(create):
            continue
        found = True
        if not hasattr(create, "__auditlog__"):
            resource.create = _recorded(create, provider, path, is_async="Async" in type(client).__name__)
    if not found:
        msg = (
            f"auditlog.wrap takes a client with {', '.join(f'{path}.create' for path in _RESOURCES)}; "
            f"a {type(client).__module__}.{type(client).__qualname__} has none. Use @auditlog.model on a function."
        )
        raise ConfigurationError(msg)
    return client


def _resource(client: Any, path: str) -> Any:
    found = client
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _recorded(
    function: Callable[..., Any], provider: str, path: str, *, is_async: bool
) -> Callable[..., Any]:
    attributes = {"auditlog.name": path, "gen_ai.provider.name": provider}
    operation = Operation("model", path, attributes=attributes)
    site = Site(operation, _asked)

    def create(*args: Any, **kwargs: Any) -> Any:
        call = begin(site, args, {name: value for name, value in kwargs.items() if name not in _UNRECORDED})
        if call is None:
            return function(*args, **kwargs)
        if call.answer is not None:
            return _replayed_later(call) if is_async else _replayed(call)
        call.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        return _awaited(call, result) if inspect.isawaitable(result) else _kept(call, result)

    wrapper = functools.update_wrapper(create, function)
    wrapper.__auditlog__ = operation  # type: ignore[attr-defined]
    return wrapper


def _asked(*args: Any, **kwargs: Any) -> None:
    """Stand for a method whose arguments are recorded as they were given."""


def _kept(call: ActiveCall, result: Any) -> Any:
    """Record an answer that is there, or hand out a stream that will be recorded."""
    if hasattr(type(result), "__anext__"):
        return RecordedAsyncStream(call, result)
    if hasattr(type(result), "__next__"):
        return RecordedStream(call, result)
    call.succeed(result)
    return result


async def _awaited(call: ActiveCall, result: Any) -> Any:
    call.enter()
    try:
        answer = await result
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        call.leave()
    return _kept(call, answer)


def _replayed(call: ActiveCall) -> Any:
    answer = call.answer
    assert answer is not None
    try:
        value = given(answer)
    except BaseException as error:
        call.fail(error)
        raise
    if isinstance(value, list):
        return RecordedStream(call, iter(value))
    call.succeed(value)
    return value


async def _replayed_later(call: ActiveCall) -> Any:
    value = _replayed(call)
    return RecordedAsyncStream(call, _later(value)) if isinstance(value, RecordedStream) else value


async def _later(stream: RecordedStream) -> Any:
    for item in stream.source:
        yield item


class _Recorded:
    """What both kinds of stream share: whatever else the client's own can do is its own."""

    def __init__(self, call: ActiveCall, source: Any) -> None:
        """Stand before a client's stream."""
        self.call = call
        self.source = source

    def __getattr__(self, name: str) -> Any:
        if name in ("call", "source"):
            raise AttributeError(name)  # A copy that was never filled.
        return getattr(self.source, name)

    def __del__(self) -> None:
        # A consumer that just stops: what came so far is what there was.
        self.call.exhaust(abandoned=True)


class RecordedStream(_Recorded):
    """A client's stream that is recorded item by item."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self.call.enter()
        try:
            item = next(self.source)
        except StopIteration:
            self.call.exhaust()
            raise
        except BaseException as error:
            self.call.fail(error)
            raise
        finally:
            self.call.leave()
        self.call.chunk(item)
        return item

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
        self.call.enter()
        try:
            item = await anext(self.source)
        except StopAsyncIteration:
            self.call.exhaust()
            raise
        except BaseException as error:
            self.call.fail(error)
            raise
        finally:
            self.call.leave()
        self.call.chunk(item)
        return item

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
