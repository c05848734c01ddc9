"""`auditlog.wrap(client)`: records what an OpenAI or Anthropic client asks a model, without a function around it.

The rules:

1. The client is not subclassed and not copied, and no client library is imported. A client of the two is recorded where all
   its methods meet: its own `post`. So `create`, `parse`, `stream`, `beta`, raw and streamed responses are one thing, and
   what is recorded is what was sent. Of any other client that looks like one, each `create` is recorded.
2. An answer is handed out as it came. A stream is recorded when it ends, is closed, or is forgotten.
3. Headers are not recorded: they hold keys. Where the requests go is, and a digest of what is added to them.
4. What else a client sends passes through, and is said once in the log.
5. In a replay, a recorded answer is handed out in place of the call, to an asynchronous client as an awaitable.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from auditlog import overrides
from auditlog.call import ActiveCall, Site
from auditlog.client_answers import (
    RecordedAsyncStream,
    RecordedStream,
    ServedResponse,
    is_raw,
    record_response,
    recorded_stream,
)
from auditlog.decorators import begin, given, items
from auditlog.errors import ConfigurationError
from auditlog.interception import Served
from auditlog.operation import Operation
from auditlog.recorder import log

C = TypeVar("C")

_RESOURCES = ("chat.completions", "responses", "messages")
_PATHS = {name.replace(".", "/"): name for name in _RESOURCES}
_UNRECORDED = frozenset({"extra_headers", "extra_query", "http_client", "timeout"})
_LEFT_OUT = frozenset({"Omit", "NotGiven", "NotGivenOr"})
"""Types that the clients' libraries put in place of an argument that was not given."""
_WORD = re.compile(r"[a-z_]+")
"""A piece of a path that is no id."""
_RAW_HEADER = "x-stainless-raw-response"
_SERVER_PATH = "auditlog.server.path"
"""On a call: where below its host the client's requests go, where that is not as usual."""
_ADDED = "auditlog.request.added_digest"
"""On a call: the digest of the headers and the query that it adds; so that two requests that differ there can be told apart."""


def wrap(client: C) -> C:
    """Record what a client asks through chat completions, responses or messages; give the same client back.

    Args:
        client: an OpenAI or Anthropic client, synchronous or asynchronous, or one that looks like it.

    Raises:
        ConfigurationError: it has none of these resources.
    """
    resources = {path: _resource(client, path) for path in _RESOURCES}
    found = {path: one for path, one in resources.items() if callable(getattr(one, "create", None))}
    if not found:
        msg = (
            f"auditlog.wrap takes a client with {', '.join(f'{path}.create' for path in _RESOURCES)}; "
            f"a {type(client).__module__}.{type(client).__qualname__} has none. Use @auditlog.model on a function."
        )
        raise ConfigurationError(msg)
    if all(_post_of(one) is not None for one in found.values()):
        _wrap_post(client)
        return client
    provider = _provider(client)
    for path, resource in found.items():
        if not hasattr(resource.create, "__auditlog__"):
            is_async = "Async" in type(client).__name__
            resource.create = _recorded(resource.create, _site(path, provider), is_async=is_async)
    return client


def _provider(client: Any) -> str:
    return type(client).__module__.partition(".")[0]


def _resource(client: Any, path: str) -> Any:
    found = client
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _post_of(resource: Any) -> Any:
    return getattr(resource, "__dict__", {}).get("_post")


def _site(path: str, provider: str, more: Mapping[str, Any] | None = None) -> Site:
    attributes = {"auditlog.name": path, "gen_ai.provider.name": provider, **(more or {})}
    return Site(Operation("model", path, attributes=attributes), _asked)


def _asked(*args: Any, **kwargs: Any) -> None:
    """Stand for a method whose arguments are recorded as they were given."""


# A client whose requests all go through its own `post`.


def _wrap_post(client: Any) -> None:
    if hasattr(client.post, "__auditlog__"):
        return
    original, copy = client.post, client.copy
    server = _server(client)
    sites = {path: _site(name, _provider(client), server) for path, name in _PATHS.items()}
    is_async = inspect.iscoroutinefunction(original)
    post = _post_later(original, sites) if is_async else _post(original, sites)
    wrapper: Any = functools.update_wrapper(post, original)
    wrapper.__auditlog__ = sites
    client.post = wrapper
    _hand_on(client, client, wrapper)

    @functools.wraps(copy)
    def wrapped_copy(*args: Any, **kwargs: Any) -> Any:
        return wrap(copy(*args, **kwargs))

    client.copy = client.with_options = wrapped_copy


def _server(client: Any) -> dict[str, Any]:
    """Say where a client's requests go, and that it adds something of its own to each."""
    url = getattr(client, "base_url", None)
    host, port = getattr(url, "host", None), getattr(url, "port", None)
    found: dict[str, Any] = {"server.address": host} if isinstance(host, str) and host else {}
    if found and isinstance(port, int):
        found["server.port"] = port
    path = getattr(url, "path", None)
    if found and isinstance(path, str) and path.strip("/") not in ("", "v1"):
        # Behind one gateway another path is another deployment.
        found[_SERVER_PATH] = path
    own = [getattr(client, name, None) or {} for name in ("_custom_headers", "_custom_query")]
    try:
        return found | _added(*own)
    except (TypeError, ValueError):
        # What only looks like one of the two keeps something else there: it is not told to be known whole.
        return {}


def _added(headers: Any, query: Any) -> dict[str, Any]:
    """Give the digest of what is added to a request beside its body; headers that hold a credential are no part of it."""
    from auditlog.http_content import SECRET_HEADER

    told = [
        sorted(
            (str(name).lower(), str(value))
            for name, value in dict(headers).items()
            if not SECRET_HEADER.search(str(name))
            and str(name).lower() != _RAW_HEADER
            and type(value).__name__ not in _LEFT_OUT
        ),
        sorted((str(name), str(value)) for name, value in dict(query).items()),
    ]
    return {_ADDED: hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]} if any(told) else {}


def _with_added(site: Site, options: Mapping[str, Any]) -> Site:
    """Give the site of requests that add something; nearly none do."""
    headers, query = options.get("headers") or {}, options.get("params") or {}
    try:
        added = _added(headers, query) if headers or query else {}
    except (TypeError, ValueError):
        return site
    if not added:
        return site
    attributes = site.operation.attributes
    own = {_ADDED: f"{attributes.get(_ADDED, '')}{added[_ADDED]}"}
    return Site(replace(site.operation, attributes={**attributes, **own}), _asked)


def _hand_on(client: Any, holder: Any, post: Any) -> None:
    """Give the resources that a client has made already the `post` that is recorded."""
    for resource in list(vars(holder).values()):
        if getattr(resource, "__dict__", {}).get("_client") is client and _post_of(resource) is not None:
            resource._post = post  # noqa: SLF001 - where the libraries keep it
            _hand_on(client, resource, post)


def _post(original: Callable[..., Any], sites: Mapping[str, Site]) -> Callable[..., Any]:
    def post(path: str, **asked: Any) -> Any:
        call, parsed = _begun(sites, path, asked)
        if call is None:
            return original(path, **asked)
        if call.answer is not None:
            return _as_asked(_replayed(call), asked, parsed, is_async=False)
        call.enter()
        try:
            result = original(path, **asked)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        return parsed(_kept(call, result))

    return post


def _post_later(original: Callable[..., Any], sites: Mapping[str, Site]) -> Callable[..., Any]:
    async def post(path: str, **asked: Any) -> Any:
        call, parsed = _begun(sites, path, asked, awaits=True)
        if call is None:
            return await original(path, **asked)
        if call.answer is not None:
            return _as_asked(_later(_replayed(call)), asked, parsed, is_async=True)
        call.enter()
        try:
            if call.first is not None:
                await call.ready()
            result = await original(path, **asked)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        return parsed(_kept(call, result))

    return post


def _begun(
    sites: Mapping[str, Site], path: str, asked: dict[str, Any], *, awaits: bool = False
) -> tuple[ActiveCall | None, Callable[[Any], Any]]:
    """Begin the record of a request; give what makes of the model's answer what the caller asked for.

    Returns:
        The call; None where nothing is recorded. What the helper `parse` adds to an answer comes after it: an answer that is
        not what the caller hoped for is one nevertheless.
    """
    name = path.partition("?")[0].strip("/").removeprefix("v1/")
    site = sites.get(name)
    if site is None:
        _say_unrecorded("/".join(piece for piece in name.split("/") if _WORD.fullmatch(piece)))
        return None, _as_it_is
    if (placed := overrides.installed()) is not None:
        _replace(asked, placed)
    body, options = asked.get("body"), dict(asked.get("options") or {})
    sent = {**body, **(options.get("extra_json") or {})} if isinstance(body, Mapping) else {"body": body}
    call = begin(
        _with_added(site, options),
        (),
        {key: value for key, value in sent.items() if type(value).__name__ not in _LEFT_OUT},
        awaits=awaits,
    )
    if call is None or _raw_wanted(asked) or not callable(options.get("post_parser")):
        return call, _as_it_is
    parse = options.pop("post_parser")
    asked["options"] = options
    return call, parse


def _replace(asked: dict[str, Any], placed: overrides.Installed) -> None:
    """Put into a request what a replay's candidate asks for."""
    options = dict(asked.get("options") or {})
    for holder, key in ((asked, "body"), (options, "extra_json")):
        found = holder.get(key)
        if isinstance(found, Mapping):
            holder[key] = {**found, **placed.request(found)}
    if options:
        asked["options"] = options


@functools.lru_cache(maxsize=256)
def _say_unrecorded(name: str) -> None:
    log.warning("auditlog.wrap records %s; what the client sends to %r is not.", ", ".join(_RESOURCES), name)


def _as_it_is(answer: Any) -> Any:
    return answer


def _raw_wanted(asked: Mapping[str, Any]) -> str:
    """Give how the caller wants the response itself; empty where it wants the answer."""
    headers = (asked.get("options") or {}).get("headers") or {}
    return next((str(value) for name, value in headers.items() if str(name).lower() == _RAW_HEADER), "")


def _as_asked(value: Any, asked: Mapping[str, Any], parsed: Callable[[Any], Any], *, is_async: bool) -> Any:
    """Make of a recorded answer what the client would have made of it."""
    construct = getattr(asked.get("cast_to"), "construct", None)
    if type(value) is dict and callable(construct):
        value = construct(**value)
    if raw := _raw_wanted(asked):
        return ServedResponse(value, is_async=is_async and raw != "true")
    return parsed(value)


# A client that has the methods, and nothing else that is known of it.


def _recorded(function: Callable[..., Any], site: Site, *, is_async: bool) -> Callable[..., Any]:
    def create(*args: Any, **kwargs: Any) -> Any:
        if (placed := overrides.installed()) is not None:
            kwargs |= placed.request(kwargs)
        call = begin(site, args, {name: value for name, value in kwargs.items() if name not in _UNRECORDED})
        if call is None:
            return function(*args, **kwargs)
        if call.answer is not None:
            return _awaitable(_later, _replayed(call)) if is_async else _replayed(call)
        call.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave()
        return _awaited(call, result) if inspect.isawaitable(result) else _kept(call, result)

    wrapper: Any = functools.update_wrapper(create, function)
    wrapper.__auditlog__ = site.operation
    return wrapper


async def _awaitable(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _kept(call: ActiveCall, result: Any) -> Any:
    """Record an answer that is there, or see to it that one that is read later is recorded."""
    kind = type(result)
    if hasattr(kind, "__anext__") or hasattr(kind, "__next__"):
        return recorded_stream(call, result)
    if is_raw(result):
        record_response(call, result)
    else:
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
    if isinstance(answer, Served) and isinstance(answer.value, list):
        return RecordedStream(call, items(answer))
    try:
        value = given(answer)
    except BaseException as error:
        call.fail(error)
        raise
    call.succeed(value)
    return value


def _later(value: Any) -> Any:
    """Make a stream of a recording one that is read asynchronously."""
    return RecordedAsyncStream(value.call, _items(value)) if isinstance(value, RecordedStream) else value


async def _items(stream: RecordedStream) -> Any:
    for item in stream.source:
        yield item
