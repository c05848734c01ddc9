"""`@agent`, `@model`, `@retriever`, `@tool`: what the engineer writes.

The rules:

1. Each stands bare or called, on functions, methods, static and class methods, coroutines, generators and
   async generators; the decorated function keeps its kind, its name and its signature.
2. Where nothing records and nothing intercepts, a decorated call is one look and the call itself.
3. The decorated function raises what its body raises, and nothing else.
4. A decorator argument without meaning is a ConfigurationError at decoration, not a surprise in production.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, overload

from auditlog import config, interception, overrides
from auditlog.call import ActiveCall, Site, unrecorded
from auditlog.errors import ConfigurationError
from auditlog.interception import Raised, Served
from auditlog.operation import Operation, definition_digest
from auditlog.vocabulary import EFFECTS, Effect, Kind

F = TypeVar("F", bound=Callable[..., Any])
Redact = Callable[[Any], Any]
"""Makes of arguments (a mapping by name) and of a result what may be recorded."""
Reduce = Callable[[list[Any]], Any]
"""Makes of a stream's items what is recorded of it."""

_COMMON = {"capture_input", "capture_output", "redact", "reduce"}
"""Options of every decorator."""

_NAME_ATTRIBUTE: dict[Kind, str] = {
    "agent": "gen_ai.agent.name",
    "tool": "gen_ai.tool.name",
    "retriever": "auditlog.name",
    "model": "auditlog.name",
}


@overload
def agent(function: F, /) -> F: ...
@overload
def agent(
    name: str | None = None,
    /,
    *,
    version: str | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
    redact: Redact | None = None,
    reduce: Reduce | None = None,
) -> Callable[[F], F]: ...
def agent(target: Any = None, /, **options: Any) -> Any:
    """Record a function as an agent: each outermost call is a turn.

    Args:
        target: the function (bare use), or the agent's name; by default the function's name.
        **options: `version`, the agent's version; `capture_input` and `capture_output`, False to leave content out.
    """
    return _decorator("agent", target, options, {"version"})


@overload
def model(function: F, /) -> F: ...
@overload
def model(
    name: str | None = None,
    /,
    *,
    provider: str | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
    redact: Redact | None = None,
    reduce: Reduce | None = None,
) -> Callable[[F], F]: ...
def model(target: Any = None, /, **options: Any) -> Any:
    """Record a function that calls a model.

    Arguments called `messages`, `model`, `system`, `tools`, `temperature` and the like are understood, and so are
    answers in the shape of OpenAI's and Anthropic's clients, whole or streamed; anything else is kept as it is.

    Args:
        target: the function (bare use), or a name.
        **options: `provider`, such as "openai"; `capture_input`, `capture_output`.
    """
    return _decorator("model", target, options, {"provider"})


@overload
def retriever(function: F, /) -> F: ...
@overload
def retriever(
    name: str | None = None,
    /,
    *,
    capture_input: bool = True,
    capture_output: bool = True,
    redact: Redact | None = None,
    reduce: Reduce | None = None,
) -> Callable[[F], F]: ...
def retriever(target: Any = None, /, **options: Any) -> Any:
    """Record a function that looks documents up: it returns a list of {id, content, score, source}."""
    return _decorator("retriever", target, options, set())


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    name: str | None = None,
    /,
    *,
    effect: Effect | None = None,
    scope: str | None = None,
    reversible: bool | None = None,
    rate: str | None = None,
    approval: str | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
    redact: Redact | None = None,
    reduce: Reduce | None = None,
) -> Callable[[F], F]: ...
def tool(target: Any = None, /, **options: Any) -> Any:
    """Record a function as a tool, and declare what it does to the world.

    Args:
        target: the function (bare use), or the tool's name.
        **options: `effect`, "read", "write" or "control" (hand-off, stop); undeclared is taken for "write" by every
            replay. `scope`, what it touches; `reversible`; `rate`, such as "5/min"; `approval`, who must agree.

    Raises:
        ConfigurationError: the effect is none of the three.
    """
    if (effect := options.get("effect")) not in (None, *EFFECTS):
        msg = f"@auditlog.tool(effect={effect!r}): an effect is one of {', '.join(EFFECTS)}."
        raise ConfigurationError(msg)
    return _decorator("tool", target, options, {"effect", "scope", "reversible", "rate", "approval"})


def _decorator(kind: Kind, target: Any, options: dict[str, Any], known: set[str]) -> Any:
    for name, value in options.items():
        if name not in known | _COMMON:
            allowed = ", ".join(sorted(known | _COMMON))
            msg = f"@auditlog.{kind} has no option {name!r}; it takes {allowed}."
            raise ConfigurationError(msg)
        if name in ("redact", "reduce") and value is not None and not callable(value):
            msg = f"@auditlog.{kind}({name}=…) takes a function, not a {type(value).__name__}."
            raise ConfigurationError(msg)
    if target is None or isinstance(target, str):
        return lambda function: _decorate(kind, function, target, options)
    if callable(target) or isinstance(target, staticmethod | classmethod):
        return _decorate(kind, target, None, options)
    msg = f"@auditlog.{kind} stands on a function or takes a name, not a {type(target).__name__}."
    raise ConfigurationError(msg)


def _decorate(kind: Kind, function: Any, name: str | None, options: dict[str, Any]) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_decorate(kind, function.__func__, name, options))
    name = name or getattr(function, "__name__", type(function).__name__)
    placed = overrides.installed()
    described = placed.describe(name) if placed is not None and kind == "tool" else None
    operation = _operation(kind, function, name, options, described)
    site, body = Site(operation, function), function
    if placed is not None and kind == "model":
        site.bind, body = placed.bound(site.bind), placed.asking(function)
    elif placed is not None and kind == "tool":
        body = placed.body(name, function)
    if inspect.isasyncgenfunction(function):
        wrapper = _async_stream(body, site)
    elif inspect.iscoroutinefunction(function):
        wrapper = _async(body, site)
    elif inspect.isgeneratorfunction(function):
        wrapper = _stream(body, site)
    else:
        wrapper = _plain(body, site)
    wrapper = functools.update_wrapper(wrapper, function)
    wrapper.__auditlog__ = operation  # type: ignore[attr-defined]
    if described is not None:
        wrapper.__doc__ = described
    return wrapper


def _operation(
    kind: Kind, function: Any, name: str, options: dict[str, Any], described: str | None
) -> Operation:
    digest = definition_digest(function, name, described)
    attributes: dict[str, Any] = {_NAME_ATTRIBUTE[kind]: name}
    if kind == "tool":
        attributes["auditlog.tool.definition_digest"] = digest
        for key in ("effect", "scope", "reversible", "rate", "approval"):
            if options.get(key) is not None:
                attributes[f"auditlog.tool.{key}"] = options[key]
    if options.get("provider"):
        attributes["gen_ai.provider.name"] = options["provider"]
    return Operation(
        kind=kind,
        name=name,
        effect=options.get("effect"),
        version=options.get("version"),
        digest=digest,
        attributes=attributes,
        capture_input=options.get("capture_input", True),
        capture_output=options.get("capture_output", True),
        redact=options.get("redact"),
        reduce=options.get("reduce"),
    )


def begin(
    site: Site, args: tuple[Any, ...], kwargs: dict[str, Any], *, awaits: bool = False
) -> ActiveCall | None:
    """Begin a call; give None where nothing records and nothing intercepts.

    Args:
        site: the decorated function.
        args: the call's.
        kwargs: the call's.
        awaits: the caller is a coroutine, and awaits what the call holds in `first` before it enters the body.
    """
    recorder = config.recorder()
    if recorder is None:
        if interception.installed() is None:
            return None
        recorder = unrecorded
    call = ActiveCall(site, recorder)
    call.start(args, kwargs, awaits=awaits)
    return call


_FINISHED = frozenset({dict, list, str, int, float, bool, type(None), tuple})
"""Types of results that are surely no coroutine and no stream."""


def _plain(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = begin(site, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        answer = call.answer
        call.enter()
        try:
            result = function(*args, **kwargs) if answer is None else given(answer)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        if answer is None and type(result) not in _FINISHED:
            # A plain function may hand out a coroutine or a stream: the call lasts until that ends.
            if inspect.isawaitable(result):
                return _awaiting(call, result)
            if inspect.isgenerator(result):
                return _drive(call, result)
            if inspect.isasyncgen(result):
                return _drive_async(call, result)
        call.succeed(result)
        return result

    return wrapper


def _async(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = begin(site, args, kwargs, awaits=True)
        if call is None:
            return await function(*args, **kwargs)
        answer = call.answer
        call.enter()
        try:
            if call.first is not None:
                await call.ready()
            result = await function(*args, **kwargs) if answer is None else given(answer)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        call.succeed(result)
        return result

    return wrapper


def _stream(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin(site, args, kwargs)
        if call is None:
            return (yield from function(*args, **kwargs))
        source = function(*args, **kwargs) if call.answer is None else items(call.answer)
        return (yield from _drive(call, source))

    return wrapper


def _async_stream(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin(site, args, kwargs, awaits=True)
        if call is None:
            source = function(*args, **kwargs)
        else:
            answer = call.answer
            if call.first is not None:
                try:
                    await call.ready()
                except BaseException as error:
                    call.fail(error)
                    raise
            source = _drive_async(
                call, function(*args, **kwargs) if answer is None else _replayed_async(answer)
            )
        # An async generator has no `yield from`; this passes on what the consumer sends, throws and closes.
        step: Callable[[Any], Any] = source.asend
        argument: Any = None
        try:
            while True:
                try:
                    item = await step(argument)
                except StopAsyncIteration:
                    return
                try:
                    step, argument = source.asend, (yield item)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, and passed on
                    step, argument = source.athrow, error
        finally:
            await source.aclose()

    return wrapper


def _drive(call: ActiveCall, source: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run a generator step by step, each step inside the call and each item outside of it."""
    step: Callable[[Any], Any] = source.send
    argument: Any = None
    while True:
        call.enter()
        try:
            item = step(argument)
        except StopIteration as stop:
            call.exhaust(stop.value)
            return stop.value
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        call.chunk(item)
        try:
            step, argument = source.send, (yield item)
        except GeneratorExit:
            call.enter()
            try:
                source.close()
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                call.leave()
            call.exhaust(abandoned=True)
            raise
        except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, and passed on
            step, argument = source.throw, error


async def _drive_async(call: ActiveCall, source: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    step: Callable[[Any], Any] = source.asend
    argument: Any = None
    while True:
        call.enter()
        try:
            item = await step(argument)
        except StopAsyncIteration:
            call.exhaust()
            return
        except BaseException as error:
            # A loop that ends cancels the closing of a stream that was left: that is no failure of the stream.
            if error is argument and type(error).__name__ == "CancelledError":
                call.exhaust(abandoned=True)
            else:
                call.fail(error)
            raise
        finally:
            call.leave()
        call.chunk(item)
        try:
            step, argument = source.asend, (yield item)
        except GeneratorExit:
            call.enter()
            try:
                await source.aclose()
            finally:
                call.leave()
                call.exhaust(abandoned=True)
            raise
        except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, and passed on
            step, argument = source.athrow, error


async def _awaiting(call: ActiveCall, result: Any) -> Any:
    call.enter()
    try:
        value = await result
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        call.leave()
    call.succeed(value)
    return value


def given(answer: Served | Raised) -> Any:
    """Give, or raise, what stands in the body's place."""
    if isinstance(answer, Raised):
        raise answer.error
    if answer.then is not None:
        raise answer.then()
    return answer.value


def items(answer: Served | Raised) -> Generator[Any, Any, None]:
    """Give the items of a stream that stands in the body's place, one by one, and raise what it ends with."""
    if isinstance(answer, Raised):
        raise answer.error
    yield from answer.value if isinstance(answer.value, list) else [answer.value]
    if answer.then is not None:
        raise answer.then()


async def _replayed_async(answer: Served | Raised) -> AsyncGenerator[Any, Any]:
    for item in items(answer):
        yield item
