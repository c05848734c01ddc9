"""Model calls that go over undecorated HTTP: recorded, and served in a replay, as the model calls that they are.

The rules:

1. A POST with a JSON body that names a `model`, to a path of OpenAI's or Anthropic's interfaces, is a call of kind `model`, under
   the name and with the arguments that `auditlog.wrap` would record: an agent whose client nobody wrapped is recorded, and
   replayed, like one that is. Other interfaces have such paths, too (a helpdesk's `/messages`), and are no models.
2. An answer is recorded as its reader reads it: a stream's events one by one, anything else whole.
3. An answer that is an error is recorded as one, with its status and its text, and is an answer with that status again.
4. What a replay's candidate asks for in another's place (its model's name, its tools) is put into the body that is sent.
"""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import orjson

from auditlog import overrides
from auditlog.call import ActiveCall, Site
from auditlog.decorators import begin, given
from auditlog.http_content import Exchange, decoded
from auditlog.operation import Operation

_NAMES = {
    "/chat/completions": ("chat.completions", "openai"),
    "/responses": ("responses", "openai"),
    "/messages": ("messages", "anthropic"),
}
OVER_HTTP = "auditlog.http"
"""On a model call: it was recorded from its HTTP."""
_REFUSED = re.compile(r"Error code: (\d{3})(?: - (.*))?", re.DOTALL)
_EVENTS = "text/event-stream"
MOST_BYTES = 64 << 20
"""An answer that is longer is recorded as one that was left half-way."""
_MOST_CHARACTERS = 4000


class ModelRefusedError(Exception):
    """A model's server answered with an error; the text says its status and what it said."""


def model_name(path: str) -> tuple[str, str] | None:
    """Give the name and the provider of a model's path; None where it is none."""
    path = path.rstrip("/")
    return next((found for end, found in _NAMES.items() if path.endswith(end)), None)


def is_to_model(path: str, body: bytes | None) -> bool:
    """Whether a request is one to a model.

    Args:
        path: its path.
        body: its body; None where it is streamed.
    """
    return model_name(path) is not None and names_a_model(body)


def names_a_model(body: bytes | None) -> bool:
    """Whether a body is JSON that names a model.

    Args:
        body: the body; None where it is streamed.
    """
    return _request(body) is not None


def _request(body: bytes | None) -> dict[str, Any] | None:
    """Give what a body asks of a model; None where it names none."""
    try:
        asked = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
    return asked if isinstance(asked, dict) and isinstance(asked.get("model"), str) else None


def begun_model(to: Exchange, body: bytes | None) -> tuple[ActiveCall, bytes | None] | None:
    """Begin the record of a request to a model; None where nothing records, or where it is no such request.

    Args:
        to: where it goes.
        body: its body; None where it is streamed.

    Returns:
        The call, and the body to send in place of this one, if any.
    """
    found, asked = model_name(to.path), _request(body)
    if found is None or asked is None:
        return None
    instead = None
    if (placed := overrides.installed()) is not None and (changed := placed.request(asked)):
        asked = {**asked, **changed}
        instead = orjson.dumps(asked)
    # As it is recorded: without what looks like a secret.
    path = urlsplit(str(to.arguments["url"])).path
    call = begin(_site(*found, to.host, to.port, path), (), asked)
    return None if call is None else (call, instead)


class ModelReading:
    """Records one answer of a model while its reader reads it."""

    __slots__ = ("_call", "_encoding", "_ended", "_held", "_pieces", "_rest", "_status", "_streams")

    def __init__(self, call: ActiveCall, status: int, headers: Any) -> None:
        """Begin with nothing read."""
        told = {str(name).lower(): str(value) for name, value in headers}
        self._call, self._status = call, status
        self._encoding = told.get("content-encoding", "")
        self._streams = _EVENTS in told.get("content-type", "") and status < 400
        self._pieces: list[bytes] = []
        self._rest = b""
        self._held = 0
        self._ended = False

    def read(self, piece: bytes) -> None:
        """Keep what was read; of a stream that is not compressed, event by event."""
        if not self._streams or self._encoding:
            self._held += len(piece)
            if self._held <= MOST_BYTES:
                self._pieces.append(piece)
            else:
                self._pieces.clear()
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._event(line)

    def failed(self, error: BaseException) -> None:
        """End the record with what the reading raised."""
        if not self._ended:
            self._ended = True
            self._call.fail(error)

    def end(self, *, abandoned: bool = False) -> None:
        """End the record."""
        if self._ended:
            return
        self._ended = True
        content, _ = decoded(b"".join(self._pieces), self._encoding)
        if self._streams:
            for line in (content + self._rest).split(b"\n"):
                self._event(line)
            self._call.exhaust(abandoned=abandoned)
        elif self._status >= 400:
            text = content.decode("utf-8", "replace")[:_MOST_CHARACTERS]
            self._call.facts["http.response.status_code"] = self._status
            self._call.fail(ModelRefusedError(f"Error code: {self._status} - {text}"))
        elif abandoned or self._held > MOST_BYTES:
            self._call.exhaust(abandoned=True)
        else:
            self._call.succeed(_json(content))

    def _event(self, line: bytes) -> None:
        if line.startswith(b"data:") and isinstance(said := _json(line[5:].strip()), dict):
            self._call.chunk(said)


def served_model(call: ActiveCall) -> tuple[int, list[tuple[str, str]], bytes]:
    """Make of a call's answer the response that its server would have given: status, headers, body."""
    assert call.answer is not None
    try:
        value = given(call.answer)
    except ModelRefusedError as error:
        call.fail(error)
        refused = _REFUSED.fullmatch(str(error))
        status, text = (int(refused[1]), refused[2] or "") if refused else (500, str(error))
        return status, [("content-type", "application/json")], text.encode()
    except BaseException as error:
        call.fail(error)
        raise
    call.succeed(value)
    if not isinstance(value, list):
        return 200, [("content-type", "application/json")], orjson.dumps(_plain(value), default=_plain)
    events = [_plain(item) for item in value]
    named = any(isinstance(event, dict) and "type" in event for event in events)
    lines = [
        (f"event: {event['type']}\n" if named else "").encode()
        + b"data: "
        + orjson.dumps(event, default=_plain)
        for event in events
    ]
    done = [] if named else [b"data: [DONE]"]
    return 200, [("content-type", _EVENTS)], b"".join(line + b"\n\n" for line in (*lines, *done))


@functools.lru_cache(maxsize=64)
def _site(name: str, provider: str, host: str, port: int, path: str) -> Site:
    attributes = {
        "auditlog.name": name,
        "gen_ai.provider.name": provider,
        "server.address": host,
        "server.port": port,
        # Behind one gateway another path is another deployment.
        "auditlog.server.path": path,
        OVER_HTTP: True,
    }
    return Site(Operation("model", name, attributes=attributes), _asked)


def _asked(**_: Any) -> None:
    """Stand for a request whose fields are recorded as they were sent."""


def _plain(value: Any) -> Any:
    """Give a client's object as the JSON that it was read from."""
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else value


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")
