"""Reveals what redaction took out of a conversation, to who holds the private key.

The rules:

1. Nothing is opened before the access is written to the ledger, with its reason; where it cannot be written, nothing is opened.
2. What was taken out is put back where its token stands, in values only: the store stays as it is.
3. A record that is sealed to another key stays as it is, and is counted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditlog.errors import ConfigurationError

if TYPE_CHECKING:
    from auditlog.store.store import Store
    from auditlog.values import Conversation

_TOKEN = re.compile(r"<[a-z][a-z0-9_]{0,31}:[a-z]{14}>")


@dataclass(frozen=True, slots=True)
class Revealed:
    """A conversation with what was taken out of it put back."""

    conversation: Conversation
    values: int
    """Different values that were put back."""
    records: int
    """Records that something was taken out of and sealed."""
    closed: int
    """Those among them that are sealed to another key."""


def reveal(store: Store, conversation_id: str, private: str, *, reason: str, tool: str) -> Revealed:
    """Give a conversation with its originals.

    Args:
        store: the store.
        conversation_id: the id, or a beginning of it that no other has.
        private: the private key, as `auditlog keys new` wrote it.
        reason: why; it is written to the ledger.
        tool: what asks, such as `cli`.

    Raises:
        ConfigurationError: there is no reason, or the key is none or not the one that anything here is sealed to.
        NotFoundError: there is no such conversation.
        StoreError: the access cannot be recorded.
        FormatError: what is sealed is damaged.
    """
    from auditlog.redaction.vault import open_vault, public_of
    from auditlog.store import access

    if not reason.strip():
        raise ConfigurationError(
            "A reveal needs a reason. Say why, such as a ticket and what is asked there."
        )
    public_of(private)
    conversation = store.conversation(conversation_id)
    name = conversation.conversation_id
    rows = store.query(
        "SELECT trace_id, span_id, vault FROM all_spans WHERE conversation_id = ? AND vault IS NOT NULL",
        [name],
    ).to_pylist()
    access.record(
        store.layout, "reveal", ids=[name], rows=len(rows), reason=reason.strip(), tool=tool, required=True
    )
    originals: dict[str, str] = {}
    closed = 0
    for row in rows:
        try:
            binding = f"{row['trace_id']}/{row['span_id']}".encode()
            originals.update(open_vault(row["vault"], private, binding))
        except ConfigurationError:
            closed += 1
    if rows and closed == len(rows):
        raise ConfigurationError(
            f"What was taken out of {name} is sealed to another key. `auditlog keys ls` names the one that the store uses."
        )
    return Revealed(_PutBack(originals)(conversation), len(originals), len(rows), closed)


class _PutBack:
    """Puts originals in the place of their tokens; what was one object stays one."""

    def __init__(self, originals: Mapping[str, str]) -> None:
        self._originals = originals
        self._made: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        match value:
            case str():
                return _TOKEN.sub(self._original, value) if "<" in value else value
            case dict():
                return {self(key): self(inner) for key, inner in value.items()}
            case list():
                return [self(inner) for inner in value]
            case tuple():
                return tuple(self(inner) for inner in value)
            case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return self._object(value)
            case _:
                return value

    def _original(self, match: re.Match[str]) -> str:
        return self._originals.get(match[0], match[0])

    def _object(self, value: Any) -> Any:
        # A turn's agent is one of its spans, and readers ask whether it is that very one.
        if id(value) not in self._made:
            fields = [field.name for field in dataclasses.fields(value) if field.init]
            made = {name: self(getattr(value, name)) for name in fields}
            self._made[id(value)] = dataclasses.replace(value, **made)
        return self._made[id(value)]
