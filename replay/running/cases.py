"""Chooses the cases of a run: recorded turns, frozen in a list before anything runs.

The rules:

1. A case is one turn: an agent call with nothing recorded around it. A filter chooses conversations, and each of their turns
   is a case.
2. The list is frozen with the run: what the store takes in afterwards changes nothing, and a resumed run has the same cases.
3. Turns of other agents than the one that is replayed are left out, and how many is said.
4. The second baseline's share is chosen by hash, so that the same cases are in it in every run of them. Which turns are cases
   at all is another choice, made before (`sampling`), and each case says how many recorded turns it stands for.
5. What cannot be replayed is a case all the same: `unreplayable`, with the reason, and in the denominator.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.errors import NotFoundError
from auditlog.values import Json, Turn
from replay.canonical import digest_of
from replay.matching.recorded import side_lost

if TYPE_CHECKING:
    from auditlog.store import Store


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded turn, by its ids."""

    case_id: str
    """16 hex digits; the same for the same turn under the same configuration."""
    conversation_id: str
    trace_id: str
    span_id: str
    """The recorded agent span's."""
    turn_index: int
    sampled: bool = False
    """The second baseline runs it, too."""
    stratum: str = ""
    """The group of turns that it was drawn from; empty where none were made."""
    weight: float = 1.0
    """How many recorded turns it stands for: one over the probability with which it was drawn."""

    def listed(self) -> list[Json]:
        """Give its line in a manifest; `Case(*line)` reads it back, and shorter lines of older manifests."""
        return [
            self.case_id,
            self.conversation_id,
            self.trace_id,
            self.span_id,
            self.turn_index,
            self.sampled,
            self.stratum,
            self.weight,
        ]


class Selection(NamedTuple):
    """The recorded turns that a run could replay."""

    turns: tuple[Mapping[str, Any], ...]
    """conversation_id, trace_id, span_id, turn_index, agent_name, cost_usd; oldest first."""
    left_out: Mapping[str, int]
    """Turns of other agents, by the agent's name."""


def select(
    store: Store,
    agent_name: str,
    *,
    where: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Selection:
    """Choose the recorded turns to replay.

    Args:
        store: where they are.
        agent_name: the name of the agent that is replayed.
        where: a filter over conversations.
        since: aware; conversations that began then or later.
        until: aware; conversations that began before.
        limit: how many cases at most, the oldest first.

    Raises:
        NotFoundError: nothing fits; the message says what there is.
        FilterError: the filter does not parse.
    """
    found = _turns(store, where, since, until)
    by_agent = Counter(turn["agent_name"] for turn in found)
    if not found:
        raise NotFoundError(_nothing(store, where, since, until))
    if agent_name in by_agent:
        chosen = [turn for turn in found if turn["agent_name"] == agent_name]
    elif len(by_agent) == 1:
        # An agent that was renamed is still the only one there is.
        chosen = found
    else:
        names = ", ".join(f"{name} ({count})" for name, count in by_agent.most_common(5))
        msg = (
            f"No recorded turn is of an agent called {agent_name!r}; there are {names}. "
            "Choose one agent's turns, such as --where agent:NAME."
        )
        raise NotFoundError(msg)
    taken = {turn["agent_name"] for turn in chosen}
    left_out = {name: count for name, count in by_agent.items() if name not in taken}
    return Selection(tuple(chosen if limit is None else chosen[:limit]), left_out)


def freeze(turns: Sequence[Mapping[str, Any]], config_digest: str, sample: float) -> tuple[Case, ...]:
    """Make the cases of a run.

    Args:
        turns: as `select` or `draw` gave them.
        config_digest: the run's configuration.
        sample: the share of the cases that the second baseline runs, from 0 to 1.
    """
    ids = [case_key(config_digest, turn["trace_id"], turn["span_id"]) for turn in turns]
    by_hash = sorted(range(len(turns)), key=lambda i: hashlib.sha256(turns[i]["span_id"].encode()).digest())
    sampled = set(by_hash[: math.ceil(sample * len(turns))])
    return tuple(
        Case(
            ids[i],
            turn["conversation_id"],
            turn["trace_id"],
            turn["span_id"],
            turn["turn_index"],
            i in sampled,
            turn.get("stratum", ""),
            turn.get("weight", 1.0),
        )
        for i, turn in enumerate(turns)
    )


def cases_digest(lines: Sequence[Sequence[Json]]) -> str:
    """Give the digest of a manifest's case list: of which turns it is, and of what each stands for.

    Args:
        lines: the manifest's `cases`.
    """
    plain = ([], ["", 1.0])
    return digest_of([line[0] if list(line[6:8]) in plain else [line[0], *line[6:8]] for line in lines])


def case_key(config_digest: str, trace_id: str, span_id: str, arm: str = "", repeat: int = 0) -> str:
    """Give what makes a case (or, with an arm, one execution of it) itself, as 16 hex digits."""
    text = "\0".join((config_digest, trace_id, span_id, arm, str(repeat)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unreplayable(turn: Turn | None) -> str | None:
    """Say why a recorded turn cannot be replayed; None where it can.

    Args:
        turn: the recorded turn; None when the store does not hold it any more.
    """
    if turn is None:
        return "the recorded turn is not in the store any more"
    if any(span.closed for span in turn.spans):
        return "its content is encrypted, and the content key is not here"
    if any(span.erased for span in turn.spans):
        return "its content, or some of it, was erased or pruned"
    if turn.agent.status == "incomplete":
        return "the recorded turn never ended"
    if not isinstance(turn.agent.input, dict):
        return "the recording does not hold the arguments that the agent was called with"
    if side_lost(turn.agent, "input"):
        return "the recorded arguments could not be kept as they were (lossy)"
    return None


def _turns(
    store: Store, where: str, since: datetime | None, until: datetime | None
) -> list[Mapping[str, Any]]:
    condition, params = "true", []
    if where.strip() or since is not None or until is not None:
        ids = [s.conversation_id for s in store.summaries(where, since, until)]
        if not ids:
            return []
        # One parameter, however many conversations there are.
        condition, params = "t.conversation_id IN (SELECT unnest(?::VARCHAR[]))", [ids]
    found = store.query(
        "SELECT t.conversation_id, t.trace_id, t.turn_id AS span_id, t.turn_index, t.agent_name, t.start_ns, "
        "t.cost_usd "
        f"FROM turns t JOIN spans s ON s.span_id = t.turn_id AND s.kind = 'agent' WHERE {condition} "
        "ORDER BY t.start_ns, t.turn_id",
        params,
    )
    return found.to_pylist()


def _nothing(store: Store, where: str, since: datetime | None, until: datetime | None) -> str:
    conversations = store.count()
    if not conversations:
        return f"The store {store.path} is empty: there is no recorded turn to replay. Record or import some first."
    asked = " ".join(
        part
        for part in (
            f"--where {where!r}" if where else "",
            f"--since {since.isoformat(timespec='minutes')}" if since else "",
            f"--until {until.isoformat(timespec='minutes')}" if until else "",
        )
        if part
    )
    return (
        f"No agent turn fits {asked or 'this run'}; the store holds {conversations} conversations. "
        "`auditlog ls` with the same options shows what is chosen."
    )
