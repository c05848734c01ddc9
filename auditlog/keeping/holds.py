"""Holds: conversations that nothing takes away, because somebody says that they are evidence.

The rules:

1. A hold is an entry of the ledger, and so is its release; both say who, when and why. Nothing else keeps them.
2. A hold names one conversation, or a filter: whatever matches it when something is about to go is held, also what was
   recorded later.
3. A hold beats pruning and erasing. It holds until it is released, by the same id or the same filter.
4. A hold against pruning alone keeps what is used again, and gives way to whoever asks to be erased. The two stand side by side
   on one conversation, and each is released by itself.
5. The filter and the reason stand in the ledger for ever: they are redacted where the store redacts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from auditlog.errors import NotFoundError
from auditlog.ledger.ledger import Ledger, append_entry, read_ledger
from auditlog.values import utc

if TYPE_CHECKING:
    from auditlog.store.store import Store

Against = Literal["all", "pruning"]


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold that was not released."""

    conversation: str | None
    where: str | None
    """The filter, where it names no conversation."""
    reason: str
    time_ns: int
    who: str
    number: int
    """The entry's place in the ledger."""
    against: Against = "all"
    """`pruning`: erasing takes it all the same."""

    @property
    def target(self) -> str:
        """What is held, in words."""
        return self.conversation if self.conversation is not None else f"--where {self.where!r}"

    @property
    def time(self) -> datetime:
        """When it was placed."""
        return utc(self.time_ns)


def holds(ledger: Ledger) -> list[Hold]:
    """Give the holds that were not released, oldest first."""
    found: dict[tuple[str | None, str | None, Against], Hold] = {}
    for number, entry in enumerate(ledger.each_entry()):
        against: Against = "pruning" if entry.get("against") == "pruning" else "all"
        key = (_text(entry.get("conversation")), _text(entry.get("where")), against)
        match entry["type"]:
            case "hold":
                who, reason = str(entry.get("who", "")), str(entry.get("reason", ""))
                found.setdefault(key, Hold(key[0], key[1], reason, entry["time"], who, number, against))
            case "release":
                found.pop(key, None)
            case _:
                pass
    return list(found.values())


def place(
    store: Store, *, conversation: str | None, where: str | None, reason: str, against: Against = "all"
) -> Hold:
    """Hold one conversation, or whatever matches a filter.

    Args:
        store: where it is.
        conversation: its id, or a beginning of it.
        where: a filter, instead.
        reason: why; it stands in the ledger for ever.
        against: `pruning` lets an erasure take it all the same.

    Raises:
        NotFoundError: there is no such conversation.
        FilterError: the filter does not parse.
    """
    layout = store.layout
    if conversation is not None:
        conversation = store.conversation_id(conversation)
    if where is not None:
        store.count(where)
        where = redacted(layout, where)
    entry = {"type": "hold", **_target(conversation, where, against), **by_whom(layout, reason)}
    ledger = append_entry(layout, entry)
    store.refresh()
    wanted = (conversation, where, against)
    return next(h for h in holds(ledger) if (h.conversation, h.where, h.against) == wanted)


def release(
    store: Store,
    *,
    conversation: str | None,
    where: str | None,
    reason: str,
    against: Against | None = None,
) -> Hold:
    """Release a hold.

    Args:
        store: where it is.
        conversation: the conversation that it was placed on.
        where: the filter that it was placed with, instead.
        reason: why; it stands in the ledger for ever.
        against: which of two holds on one target; by default the one against everything, where there is one.

    Raises:
        NotFoundError: nothing of that name is held.
    """
    layout = store.layout
    placed = [h for h in holds(read_ledger(layout.entries)) if against in (None, h.against)]
    # Of two holds on one target the stronger is meant, unless the other is named.
    stronger = {(h.conversation, h.where) for h in placed if h.against == "all"}
    placed = [h for h in placed if h.against == "all" or (h.conversation, h.where) not in stronger]
    where = None if where is None else redacted(layout, where)
    exact = [h for h in placed if (h.conversation, h.where) == (conversation, where)]
    if conversation is not None and not exact:
        exact = [h for h in placed if h.conversation is not None and h.conversation.startswith(conversation)]
    if len(exact) != 1:
        named = ", ".join(h.target for h in placed[:5]) or "nothing at all"
        wanted = conversation if conversation is not None else f"--where {where!r}"
        msg = f"No single hold is on {wanted}. Held is {named}. `auditlog hold --list` lists what is."
        raise NotFoundError(msg)
    (found,) = exact
    append_entry(
        layout,
        {
            "type": "release",
            **_target(found.conversation, found.where, found.against),
            **by_whom(layout, reason),
        },
    )
    store.refresh()
    return found


def held(store: Store, placed: Iterable[Hold]) -> dict[str, Hold]:
    """Give the conversations that are held now, by id, each with the hold that holds it."""
    found: dict[str, Hold] = {}
    for hold in placed:
        ids = [hold.conversation] if hold.conversation is not None else store.ids(hold.where or "")
        for name in ids:
            found.setdefault(name, hold)
    return found


def by_whom(layout: Any, reason: str) -> dict[str, str]:
    """Give the fields of an entry that say who did it and why."""
    from auditlog.store.access import user_name

    return {"who": user_name(), "reason": redacted(layout, reason)}


def redacted(layout: Any, text: str) -> str:
    """Redact a text where the store redacts."""
    from auditlog.store.access import redacted_text

    return redacted_text(layout, text) or ""


def _target(conversation: str | None, where: str | None, against: Against) -> dict[str, str]:
    target = {"conversation": conversation} if conversation is not None else {"where": where or ""}
    return target if against == "all" else {**target, "against": against}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
