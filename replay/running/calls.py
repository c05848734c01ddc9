"""The calls of one case, as the worker keeps them until the case is over.

The rules:

1. A call is kept as it was made, and becomes a record once: when its case is over, or when it is told earlier. What is
   recorded in another way than by a decorator is kept beside, in the order in which it began.
2. What a call of an earlier case still says is not of this one, and is left out.
3. Every record has its execution's lineage, as the last of its attributes, so that nothing that an agent says stands for it.
4. A call whose body runs for real is told before it runs, with the calls around it, and when it ends: whatever becomes of the
   case, its records are with the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from auditlog import normalise
from auditlog.joined import joined_lists, joined_objects
from auditlog.record import PARTS, decode_record, encode_record
from auditlog.recorder import ListSink
from auditlog.values import Json

_KNOWN = frozenset(PARTS)
_LINEAGE = re.compile(rb'"auditlog\.replay\.(?:run_id|arm|repeat|source_|candidate_digest|mode"|case")')
_NOTHING = b"{}"


class Call:
    """One call."""

    __slots__ = ("_attributes", "_whole", "ended", "entry", "parts", "told")

    def __init__(self, entry: dict[str, Any], parts: dict[str, bytes]) -> None:
        """Take a call that begins, or a whole one.

        Args:
            entry: its record's.
            parts: its record's.
        """
        self.entry, self.parts = entry, parts
        self.ended = False
        self.told = False
        """Its START was sent already."""
        self._attributes: dict[str, Any] | None = None
        self._whole: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.entry["kind"]

    @property
    def span(self) -> str:
        """Its id."""
        return self.entry["span"]

    @property
    def attributes(self) -> dict[str, Any]:
        """What it says of itself, without its lineage."""
        if self._attributes is None:
            self._attributes = orjson.loads(self.parts.get("attributes", _NOTHING))
        return self._attributes

    @property
    def columns(self) -> Mapping[str, Any]:
        """What a row of it would hold."""
        if self._whole is None:
            entry = {"status": "incomplete", "end": None, **self.entry, "start": self.entry["time"]}
            self._whole = normalise.filled(entry, self.parts)
        return self._whole

    def end(self, time: int, status: str, parts: Mapping[str, bytes]) -> None:
        """Take its end, the first that there is."""
        if self.ended:
            return
        self.ended = True
        entry, mine = self.entry, self.parts
        entry["type"], entry["end"], entry["status"] = "span", time, status
        for name, content in parts.items():
            if name == "attributes" and name in mine:
                content = joined_objects(mine[name], content)  # noqa: PLW2901 - the one that is kept
            elif name == "vault" and name in mine:
                content = joined_lists(mine[name], content)  # noqa: PLW2901 - as above
            mine[name] = content
        self._attributes = self._whole = None

    def tell_of(self, facts: Mapping[str, Json]) -> None:
        """Take facts of a call that has begun."""
        told = orjson.dumps(facts)
        known = self.parts.get("attributes")
        self.parts["attributes"] = told if known is None else joined_objects(known, told)
        self._attributes = self._whole = None

    def fault(self) -> list[Any] | None:
        """Give the error's type and message; None where there was none."""
        told = orjson.loads(self.parts["error"]) if "error" in self.parts else None
        return [told.get("type"), told.get("message")] if isinstance(told, dict) else None

    def payload(self, lineage: bytes) -> bytes:
        """Make its record.

        Args:
            lineage: the attributes of its execution, as JSON.
        """
        return _payload(self.entry, self.parts, lineage)


class CaseCalls(ListSink):
    """Keeps the calls of one case after the other: a recorder's keeper, and its sink."""

    def __init__(self) -> None:
        """Begin with no case."""
        super().__init__()
        self.lineage = _NOTHING
        self.calls: dict[str, Call] = {}
        """Of this case, as they began."""
        self.opened: list[str] = []
        """The span ids of the calls that began with a START."""
        self.tell: Callable[[list[bytes]], None] | None = None
        """Sends records while the case runs."""

    def begin(self, lineage: Mapping[str, Json]) -> None:
        """Begin a case.

        Args:
            lineage: the attributes of all its records.
        """
        self.lineage = orjson.dumps(lineage)
        self.calls, self.opened = {}, []

    def begun(self, entry: dict[str, Any], parts: dict[str, bytes]) -> None:
        """Take a decorated call that begins."""
        span = entry["span"]
        self.opened.append(span)
        self.calls.setdefault(span, Call(entry, parts))

    def ended(self, span: str, time: int, status: str, parts: dict[str, bytes]) -> None:
        """Take the end of one."""
        call = self.calls.get(span)
        if call is None or call.ended:
            return
        call.end(time, status, parts)
        if call.told and call.kind != "agent":
            self._tell_end(call, parts)

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:  # noqa: ARG002
        """Take a record of another make."""
        record = decode_record(payload)
        entry, parts = dict(record.entry), record.parts
        if not parts.keys() <= _KNOWN:
            parts = {name: parts[name] for name in parts if name in _KNOWN}
        entry.pop("v", None)
        entry.pop("parts", None)
        span = entry["span"]
        if opens is not None:
            self.opened.append(opens)
        if entry["type"] == "end":
            told = entry.get("end")
            self.ended(span, told if isinstance(told, int) else entry["time"], entry["status"], parts)
        elif entry["type"] in ("start", "span"):
            call = self.calls.setdefault(span, Call(entry, parts))
            call.ended = entry["type"] == "span"
        return True

    def goes_live(self, span: str, facts: Mapping[str, Json]) -> None:
        """Tell that a call's body is about to run for real: its START, and those of the calls around it.

        Args:
            span: the call's.
            facts: what is known of it by then, which its END says again.
        """
        around: list[Call] = []
        call = self.calls.get(span)
        if call is not None and facts and not call.told:
            call.tell_of(facts)
        while call is not None and not call.told and not call.ended:
            around.append(call)
            call.told = True
            call = self.calls.get(call.entry["parent"] or "")
        if self.tell is not None and around:
            self.tell([call.payload(self.lineage) for call in reversed(around)])

    def _tell_end(self, call: Call, parts: Mapping[str, bytes]) -> None:
        if self.tell is None:
            return
        entry = {
            "type": "end",
            "time": call.entry["end"],
            "trace": call.entry["trace"],
            "span": call.span,
            "status": call.entry["status"],
        }
        self.tell([_payload(entry, parts, self.lineage)])


def _payload(entry: dict[str, Any], parts: Mapping[str, bytes], lineage: bytes) -> bytes:
    own = parts.get("attributes", _NOTHING)
    if _LINEAGE.search(own) is not None:
        # An agent may say anything of itself; of where it belongs it does not speak.
        ours = orjson.loads(lineage)
        own = orjson.dumps({name: value for name, value in orjson.loads(own).items() if name not in ours})
    own = own.strip()
    attributes = lineage if own == _NOTHING else own[:-1] + b"," + lineage[1:]
    return encode_record(entry, {**parts, "attributes": attributes})
