"""The recorder: makes records of calls and hands them to a sink.

The rules:

1. Nothing here raises into the agent: what fails is counted (`faults`), and the agent goes on. RecordingError alone passes,
   and comes only where `on_failure` asks for it.
2. A call is two records, START before the body and END after it, so that a crash leaves what had begun.
3. Content is encoded when it is seen, so that what the agent changes afterwards does not change the record.
4. Where redaction is on, nothing is written that has not been through the redactor.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from auditlog import clock
from auditlog.encoding.encode import encode
from auditlog.errors import RecordingError
from auditlog.record import encode_record, payload_of

log = logging.getLogger("auditlog")

SCOPE = "auditlog"
"""The instrumentation scope of the spans that our decorators open."""


class Sink(Protocol):
    """Takes payloads; a journal, or a list."""

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:
        """Keep one payload; say whether it is kept; never raise."""
        ...

    def fault(self, reason: str) -> None:
        """Count a record that could not be made."""
        ...

    def commit(self) -> bool:
        """Wait until what is kept so far is durable, for a bounded time; say whether it is."""
        ...

    def flush(self) -> bool:
        """Make what is kept durable; say whether everything is."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class Redacts(Protocol):
    """Takes personal data out of records; a Redactor."""

    def record(self, entry: dict[str, Any], parts: Mapping[str, bytes]) -> dict[str, bytes]:
        """Give the parts to write; never raise."""
        ...


class CallKeeper(Protocol):
    """Takes decorated calls as they are, in the place of their records."""

    def begun(self, entry: dict[str, Any], parts: dict[str, bytes]) -> None:
        """Take a call that begins: what its START entry would hold, and its parts; both are the keeper's from here on."""
        ...

    def ended(self, span: str, time: int, status: str, parts: dict[str, bytes]) -> None:
        """Take the end of a call."""
        ...


class ListSink:
    """Keeps payloads in memory, in order."""

    def __init__(self) -> None:
        """Begin empty."""
        self.payloads: list[bytes] = []

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:  # noqa: ARG002
        """Keep one payload."""
        self.payloads.append(payload)
        return True

    def fault(self, reason: str) -> None:
        """Count nothing."""

    def commit(self) -> bool:
        """Say that everything is kept."""
        return True

    def flush(self) -> bool:
        """Say that everything is kept."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def take(self) -> list[bytes]:
        """Give the payloads so far, and forget them."""
        taken, self.payloads = self.payloads, []
        return taken


class Recorder:
    """Writes START, END and SPAN records of one process."""

    def __init__(
        self,
        sink: Sink,
        *,
        agent_version: str | None = None,
        base_attributes: Mapping[str, Any] | None = None,
        redactor: Redacts | None = None,
        durable: bool = False,
        keeper: CallKeeper | None = None,
    ) -> None:
        """Write into a sink.

        Args:
            sink: where the payloads go.
            agent_version: what agent spans carry as `gen_ai.agent.version` where the decorator states none.
            base_attributes: attributes of every span, such as a replay's lineage.
            redactor: takes personal data out of every record; None to write what was seen.
            durable: whether the end of an agent's turn waits until the turn is on the disk.
            keeper: takes decorated calls before they are records; the sink gets what is recorded in other ways.
        """
        self.sink = sink
        self.keeper = keeper
        self.redactor = redactor
        self.durable = durable
        self._agents: set[str] = set()
        """The agent spans under way; kept only where their end is waited for."""
        self.agent_version = agent_version
        self.base_attributes = dict(base_attributes or {})
        self.faults = 0
        """Records that could not be made; those that could not be written are the sink's `lost`."""

    def start(self, entry: dict[str, Any], attributes: Mapping[str, Any], parts: dict[str, bytes]) -> bool:
        """Write a START record; `entry` holds the ids, kind, name and source."""
        entry["type"] = "start"
        return self._record(entry, {**self.base_attributes, **attributes}, parts, opens=entry["span"])

    def end(self, entry: dict[str, Any], attributes: Mapping[str, Any], parts: dict[str, bytes]) -> bool:
        """Write an END record; `entry` holds the ids and the status."""
        entry["type"] = "end"
        return self._record(entry, attributes, parts, closes=entry["span"])

    def span(self, entry: dict[str, Any], attributes: Mapping[str, Any], parts: dict[str, bytes]) -> bool:
        """Write a whole call as one SPAN record."""
        entry["type"] = "span"
        return self._record(entry, {**self.base_attributes, **attributes}, parts)

    def append(
        self,
        entry: dict[str, Any],
        parts: dict[str, bytes],
        *,
        opens: str | None = None,
        closes: str | None = None,
    ) -> bool:
        """Write a record whose attributes are encoded already."""
        try:
            if self.redactor is not None:
                parts = self.redactor.record(entry, parts)
            kept = self.sink.append(encode_record(entry, parts), opens=opens, closes=closes)
        except RecordingError:
            raise
        except Exception as error:  # noqa: BLE001 - rule 1
            self.fault(error)
            return False
        if self.durable and kept:
            self._await_durable(entry, opens, closes)
        return kept

    def write(
        self, head: bytes, parts: dict[str, bytes], opens: str | None = None, closes: str | None = None
    ) -> bool:
        """Write a record whose entry is encoded already, with its format and the names of its parts in it."""
        if self.redactor is not None or self.durable:
            entry = orjson.loads(head)
            entry.pop("parts", None)
            return self.append(entry, parts, opens=opens, closes=closes)
        try:
            return self.sink.append(payload_of(head, parts), opens=opens, closes=closes)
        except RecordingError:
            raise
        except Exception as error:  # noqa: BLE001 - rule 1
            self.fault(error)
            return False

    def flush(self) -> bool:
        """Wait until everything recorded is on the disk; False when anything is missing or not durable."""
        return self.sink.flush()

    def fault(self, error: BaseException) -> None:
        """Count a record that could not be made, and say so in the log the first time, without content.

        Raises:
            RecordingError: `on_failure` asks for it.
        """
        if isinstance(error, RecordingError):
            raise error
        self.faults += 1
        if self.faults == 1:
            log.warning(
                "auditlog could not record a call (%s); it goes on, and counts them.", type(error).__name__
            )
        self.sink.fault(type(error).__name__)

    def _await_durable(self, entry: dict[str, Any], opens: str | None, closes: str | None) -> None:
        if opens is not None:
            if entry.get("kind") == "agent":
                self._agents.add(opens)
        elif closes in self._agents:
            self._agents.discard(closes)
            self.sink.commit()
        elif closes is None and entry.get("kind") == "agent":
            self.sink.commit()

    def _record(
        self,
        entry: dict[str, Any],
        attributes: Mapping[str, Any],
        parts: dict[str, bytes],
        *,
        opens: str | None = None,
        closes: str | None = None,
    ) -> bool:
        try:
            entry.setdefault("time", clock.time_ns())
            if attributes:
                parts["attributes"] = attributes_text(attributes)
        except Exception as error:  # noqa: BLE001 - rule 1
            self.fault(error)
            return False
        return self.append(entry, parts, opens=opens, closes=closes)


def attributes_text(attributes: Mapping[str, Any]) -> bytes:
    """Give attributes as JSON text; never raise for what a value is."""
    try:
        return orjson.dumps(attributes, default=str, option=orjson.OPT_NON_STR_KEYS)
    except Exception:  # noqa: BLE001 - one value without a JSON text must not cost the record
        return encode({**attributes, "auditlog.lossy": True}).text
