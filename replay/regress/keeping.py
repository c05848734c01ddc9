"""The regression set in the store: cases, their versions, and what keeps them.

The rules:

1. Every change is one record, kind `other`, named `regress_case`, which names the trace of the recorded turn: erasing the
   customer takes the case along, and the ledger signs it like any other.
2. The set is the changes in order, the last one of each case; each change has a number, which is the set's version, and the
   digest covers each case's id, expectations and whether it is sealed.
3. The recorded conversation, and what the set says of it, are held against pruning, and not against erasing. The hold goes
   with the last case of it.
4. A case of which something was erased is no case any more; how many there are is told.
5. Sealed cases are chosen by the hash of their id, or by hand. Who reads the set for others leaves their content out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from auditlog.errors import AuditlogError, NotFoundError
from auditlog.values import Json, Turn, utc
from auditlog.wording import many
from replay.canonical import digest_of
from replay.errors import RunError
from replay.regress.deriving import derived, was_changed
from replay.regress.expectations import Expectations, from_json, to_json
from replay.running.appending import keep
from replay.running.cases import unreplayable
from replay.running.records import SOURCE_TRACE, own_records, run_span

if TYPE_CHECKING:
    from auditlog.store import Store

SET = "regress"
"""Stands for a run's id on the set's records, so that ordinary queries leave them out."""
CHANGE = "regress_case"
"""The name of the records."""

SEALED_SHARE = 0.0
"""The share of new cases that is sealed where nobody says another."""

HOLD_REASON = "regression set"

_VERSION = 1
Event = Literal["add", "edit", "remove"]


@dataclass(frozen=True, slots=True)
class RegressionCase:
    """One recorded turn, and what is expected of a replay of it."""

    case_id: str
    """12 hex digits, by the recorded turn."""
    conversation_id: str
    trace_id: str
    span_id: str
    """The recorded agent span's."""
    turn_index: int
    agent_name: str
    expected: Expectations
    sealed: bool = False
    reviewed: bool = False
    """A person's change of the agent's draft is among the expectations."""
    reason: str = ""
    """Why it was added, in somebody's words."""

    @property
    def digest(self) -> str:
        """What tells this case from another version of it, 64 hex digits."""
        return digest_of(
            {
                "case": self.case_id,
                "expected": to_json(self.expected),
                "sealed": self.sealed,
                "turn": self.span_id,
            }
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the set."""

    version: int
    time: datetime
    """Aware, UTC."""
    who: str
    event: Event | Literal["erased"]
    case_id: str
    digest: str
    """The set's, after it."""
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class RegressionSet:
    """The set as it is."""

    version: int
    """The number of the last change; 0 for a set that never had a case."""
    cases: tuple[RegressionCase, ...]
    """In the order in which they were added."""
    erased: int = 0
    """Cases of which something was erased or pruned."""

    @property
    def digest(self) -> str:
        """What tells one set from another, 64 hex digits."""
        return _set_digest({case.case_id: case.digest for case in self.cases})

    def case(self, name: str) -> RegressionCase:
        """Give one case by its id, its conversation's id where that has one case, or a beginning of its id.

        A whole id counts before a beginning: a conversation may be called what a case's id begins with.

        Raises:
            NotFoundError: there is none, or several; the message names them.
        """
        found = [c for c in self.cases if name and name in (c.case_id, c.conversation_id)]
        found = found or [c for c in self.cases if name and c.case_id.startswith(name)]
        if len(found) == 1:
            return found[0]
        named = ", ".join(c.case_id for c in (found or self.cases)[:5]) or "none"
        if found:
            raise NotFoundError(f"{name!r} means several cases: {named}. Write one of these.")
        raise NotFoundError(f"There is no case {name!r} in the regression set; it holds {named}.")


class Promoted(NamedTuple):
    """What adding did."""

    case: RegressionCase
    event: Event
    version: int
    held: str
    """Empty where the conversation is held against pruning; else why it is not."""


def load_set(store: Store) -> RegressionSet:
    """Give the regression set of a store."""
    cases: dict[str, RegressionCase] = {}
    changes = list(_changes(store))
    for _, content in changes:
        if content is None:
            continue
        if content["event"] == "remove":
            cases.pop(content["case"]["case_id"], None)
        else:
            case = _case(content["case"])
            cases[case.case_id] = case
    return RegressionSet(
        _latest(changes), tuple(cases.values()), sum(content is None for _, content in changes)
    )


def history(store: Store) -> list[Change]:
    """Give every change of the set, oldest first."""
    found = []
    known: dict[str, str] = {}
    number = 0
    for span, content in _changes(store):
        number = number + 1 if content is None else int(content["number"])
        if content is None:
            found.append(Change(number, span.start, "", "erased", "", ""))
            continue
        case_id = content["case"]["case_id"]
        if content["event"] == "remove":
            known.pop(case_id, None)
        else:
            known[case_id] = _case(content["case"]).digest
        found.append(
            Change(
                number, utc(span.start_ns), str(content.get("who", "")), content["event"], case_id,
                _set_digest(known), bool(content["case"].get("sealed")),
            )
        )  # fmt: skip
    return found


def case_id_of(turn: Turn) -> str:
    """Give what a recorded turn is called in the set, as 12 hex digits."""
    return hashlib.sha256(f"{turn.agent.trace_id}\0{turn.turn_id}".encode()).hexdigest()[:12]


def is_sealed_by_hash(case_id: str, share: float) -> bool:
    """Whether a case is among the sealed share; the same case always is, whoever asks."""
    return int(hashlib.sha256(f"sealed\0{case_id}".encode()).hexdigest()[:8], 16) < share * 0x1_0000_0000


def reviewed_turns(store: Store) -> list[Turn]:
    """Give the recorded turns of which a person changed a draft, oldest first."""
    from auditlog.store.build import conversations_of

    rows = store.query(
        "SELECT DISTINCT conversation_id AS id FROM spans WHERE kind = 'other' AND name = 'review' ORDER BY id"
    )
    ids = [str(name) for name in rows.column("id").to_pylist()]
    if not ids:
        return []
    marks = ", ".join("?" * len(ids))
    spans = store.spans(f"conversation_id IN ({marks}) AND replay_run_id IS NULL", ids)
    turns = [turn for found in conversations_of(spans).values() for turn in found.turns if was_changed(turn)]
    return sorted(turns, key=lambda turn: turn.agent.start_ns)


def turns_named(store: Store, name: str, number: int | None = None) -> list[Turn]:
    """Give the recorded turns of a conversation, or one of them.

    Args:
        store: where they are.
        name: the conversation's id, or a beginning of it.
        number: which turn, from 1; None for all.

    Raises:
        NotFoundError: there is no such conversation or turn.
    """
    conversation = store.conversation(store.conversation_id(name))
    if any(turn.agent.replay is not None for turn in conversation.turns):
        msg = (
            f"{conversation.conversation_id} is a replay. Name the recorded conversation that it was made of."
        )
        raise NotFoundError(msg)
    turns = [turn for turn in conversation.turns if turn.agent.kind == "agent"]
    if number is not None:
        if not 1 <= number <= len(conversation.turns):
            msg = f"{conversation.conversation_id} has {many(len(conversation.turns), 'turn')}, and no turn {number}."
            raise NotFoundError(msg)
        turns = [turn for turn in turns if turn.index == number - 1]
    if not turns:
        msg = f"{conversation.conversation_id} holds no agent's turn that could be replayed."
        raise NotFoundError(msg)
    return turns


def add(
    store: Store,
    turn: Turn,
    expected: Expectations | None = None,
    *,
    more: Expectations | None = None,
    sealed: bool | None = None,
    sealed_share: float = SEALED_SHARE,
    reason: str = "",
) -> Promoted:
    """Put a recorded turn into the regression set, or give a case that is in it other expectations.

    Args:
        store: where it is, and where the set is.
        turn: the recorded turn.
        expected: all that is expected; None derives it from the turn and from what a person made of it, or keeps what the
            case has.
        more: added to that.
        sealed: whether its content is shown to whoever asks; None leaves it as it is, or to the hash.
        sealed_share: the share that the hash seals.
        reason: why; redacted where the store redacts.

    Raises:
        RunError: the turn cannot be replayed, or nothing is expected of it.
        StoreError: the store cannot be written.
    """
    from auditlog.keeping.holds import redacted

    if (why := unreplayable(turn)) is not None:
        raise RunError(f"This turn cannot be a regression case: {why}.")
    case_id = case_id_of(turn)
    known = {case.case_id: case for case in load_set(store).cases}.get(case_id)
    base = expected if expected is not None else known.expected if known is not None else derived(turn)
    base = base if more is None else base.joined(more)
    if not base.count:
        raise RunError(
            "Nothing is expected of this turn, so that no candidate could fail it. Say something with --expect."
        )
    if sealed is None:
        sealed = known.sealed if known is not None else is_sealed_by_hash(case_id, sealed_share)
    case = RegressionCase(
        case_id=case_id,
        conversation_id=turn.agent.conversation_id or "",
        trace_id=turn.agent.trace_id,
        span_id=turn.turn_id,
        turn_index=turn.index,
        agent_name=turn.agent.agent_name or turn.agent.name,
        expected=base,
        sealed=sealed,
        reviewed=was_changed(turn),
        reason=redacted(store.layout, reason) or (known.reason if known is not None else ""),
    )
    event: Event = "add" if known is None else "edit"
    version = _write(store, event, case)
    return Promoted(case, event, version, _hold(store, case))


def remove(store: Store, name: str) -> RegressionCase:
    """Take a case out of the set; what was recorded stays, and the versions with it.

    Raises:
        NotFoundError: there is none.
    """
    known = load_set(store)
    case = known.case(name)
    _write(store, "remove", case)
    if not any(c.conversation_id == case.conversation_id for c in known.cases if c is not case):
        _release(store, case.conversation_id)
    _release(store, _place_of(case.case_id))
    return case


def _write(store: Store, event: Event, case: RegressionCase) -> int:
    """Append a change; give its number."""
    from auditlog.store.access import user_name

    number = _latest(list(_changes(store))) + 1
    content: dict[str, Json] = {
        "version": _VERSION,
        "number": number,
        "event": event,
        "who": user_name(),
        "case": _written(case),
    }
    payload = run_span(CHANGE, SET, content, {SOURCE_TRACE: case.trace_id}, _place_of(case.case_id))
    keep(store, [payload], "The change of the regression set")
    return number


def _latest(changes: Sequence[tuple[Any, Mapping[str, Any] | None]]) -> int:
    """Give the number of the last change; of erased ones, only how many they are is known."""
    known = [int(content["number"]) for _, content in changes if content is not None]
    return max(len(changes), *known) if known else len(changes)


def _place_of(case_id: str) -> str:
    """Give the conversation of a case's own records."""
    return f"{SET}/{case_id}"


def _hold(store: Store, case: RegressionCase) -> str:
    """Hold a case against pruning, once; say why not where that does not work."""
    from auditlog.keeping.holds import holds, place
    from auditlog.ledger.ledger import read_ledger

    try:
        placed = {h.conversation for h in holds(read_ledger(store.layout.entries)) if h.against == "pruning"}
        for name in (case.conversation_id, _place_of(case.case_id)):
            if name not in placed:
                place(store, conversation=name, where=None, reason=HOLD_REASON, against="pruning")
    except (AuditlogError, OSError) as error:
        return str(error)
    return ""


def _release(store: Store, conversation_id: str) -> None:
    from auditlog.keeping.holds import release

    try:
        release(store, conversation=conversation_id, where=None, reason=HOLD_REASON, against="pruning")
    except NotFoundError:
        pass


def _written(case: RegressionCase) -> dict[str, Json]:
    return {
        "case_id": case.case_id,
        "conversation_id": case.conversation_id,
        "trace_id": case.trace_id,
        "span_id": case.span_id,
        "turn_index": case.turn_index,
        "agent_name": case.agent_name,
        "expected": to_json(case.expected),
        "sealed": case.sealed,
        "reviewed": case.reviewed,
        "reason": case.reason,
    }


def _case(content: Mapping[str, Any]) -> RegressionCase:
    fields: dict[str, Any] = {**content, "expected": from_json(content["expected"])}
    return RegressionCase(**fields)


def _changes(store: Store) -> Iterable[tuple[Any, Mapping[str, Any] | None]]:
    """Give the set's records, oldest first; None for the content of one that was erased or is none of ours."""
    spans = own_records(store, CHANGE, SET)
    for span in sorted(spans, key=lambda span: (span.start_ns, span.span_id)):
        match span.input:
            case {
                "version": int(version),
                "number": int(),
                "event": "add" | "edit" | "remove",
                "case": {
                    "case_id": str(),
                    "conversation_id": str(),
                    "span_id": str(),
                    "expected": dict(),
                    **rest,
                },
            } if version <= _VERSION and {"trace_id", "turn_index", "agent_name"} <= rest.keys():
                yield span, _known(span.input)
            case _:
                yield span, None


def _known(content: Mapping[str, Any]) -> Mapping[str, Any]:
    names = RegressionCase.__slots__
    return {**content, "case": {name: content["case"][name] for name in names if name in content["case"]}}


def _set_digest(digests: Mapping[str, str]) -> str:
    return digest_of(dict(sorted(digests.items())))
