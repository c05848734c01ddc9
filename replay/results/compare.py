"""Two sets of recorded conversations in, what one does better, worse and differently out. No agent runs.

The rules:

1. Conversations are paired by one tag, or by their id (`conversation`). Where a side has several of one key, both
   sides are paired by the tag `trial` if every one of them has it, and otherwise in the order of time.
2. What has no partner is listed, and never dropped in silence.
3. A judgement is compared within a pair: its mean over the conversation's spans, on both sides. The means of the two
   sides are over the pairs that both sides judged; a pair that one side did not judge is counted as unjudged.
4. Totals are over the pairs. Tool calls are the agent's own: what a simulated user called is no tool span.
5. Tokens and cost are sums over the pairs in which both sides report them; how many those are is said.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from auditlog.errors import NotFoundError
from auditlog.values import Conversation
from auditlog.wording import nearest_hint
from replay.diff import CLASSES, CaseClass, Diff, compare
from replay.diff.measures import quantities, tool_errors

BY_CONVERSATION = "conversation"
"""The pairing key that means the conversation's own id."""

TRIAL = "trial"
"""The tag that tells repeats of one task apart."""

Outcome = Literal["improved", "regressed", "unchanged"]


@dataclass(frozen=True, slots=True)
class EvaluationComparison:
    """One judgement, such as `reward`, on both sides."""

    name: str
    baseline_mean: float | None
    """Over the pairs that both sides judged; None where there is none."""
    candidate_mean: float | None
    pairs: int
    """Pairs that both sides judged: improved + regressed + unchanged."""
    improved: int
    """Pairs in which the candidate's value is higher."""
    regressed: int
    unchanged: int
    unjudged: int
    """Pairs in which one side only has a value."""


@dataclass(frozen=True, slots=True)
class Total:
    """A quantity summed over the pairs in which both sides report it."""

    baseline: float
    candidate: float
    pairs: int
    """Pairs in the sums; 0 where no pair has it on both sides, and then the sums say nothing."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the two sides took, over all pairs."""

    tool_calls: Total
    tool_errors: Total
    turns: Total
    input_tokens: Total
    output_tokens: Total
    cost_usd: Total


@dataclass(frozen=True, slots=True)
class ConversationPair:
    """Two conversations about the same thing."""

    key: str
    """The value of the tag that they share."""
    trial: str | None
    """The value of the tag `trial`; None where they were paired without it."""
    baseline: Conversation
    candidate: Conversation
    diff: Diff
    """How the candidate's behaviour differs from the baseline's."""
    outcomes: Mapping[str, Outcome]
    """By the judgement's name, for those that both sides have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of conversations, paired and compared."""

    by: str
    """The tag that pairs them, or `conversation`."""
    pairs: tuple[ConversationPair, ...]
    """By key, numbers in numeric order, then by trial."""
    unpaired_baseline: tuple[str, ...]
    """Ids of the baseline's conversations without a partner, oldest first."""
    unpaired_candidate: tuple[str, ...]
    evaluations: tuple[EvaluationComparison, ...]
    """By name, `reward` first."""
    totals: Totals
    classes: Mapping[CaseClass, int]
    """Pairs of each class, in the order of `CLASSES`, without classes that never came up."""


def compare_conversations(
    baseline: Iterable[Conversation], candidate: Iterable[Conversation], by: str = "task_id"
) -> Comparison:
    """Pair two sets of conversations and compare each pair.

    Args:
        baseline: conversations of the one side, oldest first.
        candidate: conversations of the other side, oldest first.
        by: the tag that pairs them, or `conversation` for their ids.

    Raises:
        NotFoundError: a side is empty, none of its conversations has the tag, or no two share a value.
    """
    old, new = tuple(baseline), tuple(candidate)
    matched, lone_old, lone_new = pair_up(old, new, by)
    return compare_pairs(
        [(_key_of(one, by) or "", one, other) for one, other in matched],
        by=by,
        unpaired_baseline=[conversation.conversation_id for conversation in lone_old],
        unpaired_candidate=[conversation.conversation_id for conversation in lone_new],
    )


def compare_pairs(
    pairs: Iterable[tuple[str, Conversation, Conversation]],
    *,
    by: str,
    unpaired_baseline: Iterable[str] = (),
    unpaired_candidate: Iterable[str] = (),
) -> Comparison:
    """Compare conversations that are paired already, such as those of a saved run.

    Args:
        pairs: the key, the baseline's and the candidate's conversation of each pair.
        by: what paired them.
        unpaired_baseline: ids of the baseline's conversations without a partner.
        unpaired_candidate: ids of the candidate's conversations without a partner.
    """
    compared = tuple(sorted((_compared(*pair) for pair in pairs), key=_pair_order))
    counts = Counter(pair.diff.case_class for pair in compared)
    return Comparison(
        by=by,
        pairs=compared,
        unpaired_baseline=tuple(unpaired_baseline),
        unpaired_candidate=tuple(unpaired_candidate),
        evaluations=_evaluations(compared),
        totals=_totals(compared),
        classes={name: counts[name] for name in CLASSES if counts[name]},
    )


def pair_up(
    baseline: Sequence[Conversation], candidate: Sequence[Conversation], by: str
) -> tuple[list[tuple[Conversation, Conversation]], list[Conversation], list[Conversation]]:
    """Pair conversations by a key; give the pairs and what is left of either side.

    Raises:
        NotFoundError: as `compare_conversations`.
    """
    sides = _by_key("baseline", baseline, by), _by_key("candidate", candidate, by)
    if not sides[0].keys() & sides[1].keys():
        shown = [", ".join(f"{key!r}" for key in sorted(side, key=_natural)[:3]) for side in sides]
        raise NotFoundError(
            f"No conversation of the baseline has the same {by} as one of the candidate: "
            f"the baseline has {shown[0]}, the candidate {shown[1]}. "
            "Choose filters whose conversations are about the same things, or another --by."
        )
    pairs: list[tuple[Conversation, Conversation]] = []
    matched: set[int] = set()
    for key in sides[0]:
        for one, other in _pair_trials(sides[0][key], sides[1].get(key, [])):
            pairs.append((one, other))
            matched |= {id(one), id(other)}
    return pairs, *(
        [c for c in baseline if id(c) not in matched],
        [c for c in candidate if id(c) not in matched],
    )


def _by_key(side: str, conversations: Sequence[Conversation], by: str) -> dict[str, list[Conversation]]:
    if not conversations:
        raise NotFoundError(
            f"The {side} has no conversation to compare. `auditlog ls --where …` shows what a filter finds."
        )
    found: defaultdict[str, list[Conversation]] = defaultdict(list)
    for conversation in conversations:
        if (key := _key_of(conversation, by)) is not None:
            found[key].append(conversation)
    if not found:
        tags = sorted({tag for conversation in conversations for tag in conversation.tags})
        known = (
            nearest_hint(by, [*tags, BY_CONVERSATION])
            or f" They have {', '.join(map(repr, tags)) or 'no tags'}."
        )
        raise NotFoundError(
            f"No conversation of the {side} has the tag {by!r}.{known} "
            f"Pair by a tag that both sides have, or by their ids: --by {BY_CONVERSATION}."
        )
    return found


def _key_of(conversation: Conversation, by: str) -> str | None:
    return conversation.conversation_id if by == BY_CONVERSATION else conversation.tags.get(by)


def _pair_trials(
    baseline: Sequence[Conversation], candidate: Sequence[Conversation]
) -> list[tuple[Conversation, Conversation]]:
    """Pair the conversations of one key: the only two, or by trial, or in order of time."""
    both = [*baseline, *candidate]
    if len(both) > 2 and all(TRIAL in conversation.tags for conversation in both):
        waiting: defaultdict[str, list[Conversation]] = defaultdict(list)
        for conversation in sorted(candidate, key=_start):
            waiting[conversation.tags[TRIAL]].append(conversation)
        ordered = sorted(baseline, key=_start)
        return [(c, waiting[c.tags[TRIAL]].pop(0)) for c in ordered if waiting[c.tags[TRIAL]]]
    return list(zip(sorted(baseline, key=_start), sorted(candidate, key=_start), strict=False))


def _start(conversation: Conversation) -> tuple[int, str]:
    first = conversation.turns[0].agent.start_ns if conversation.turns else 0
    return first, conversation.conversation_id


def _compared(key: str, baseline: Conversation, candidate: Conversation) -> ConversationPair:
    old, new = scores_of(baseline), scores_of(candidate)
    trials = {baseline.tags.get(TRIAL), candidate.tags.get(TRIAL)}
    return ConversationPair(
        key=key,
        trial=trials.pop() if len(trials) == 1 else None,
        baseline=baseline,
        candidate=candidate,
        diff=compare(baseline.turns, candidate.turns),
        outcomes={name: _outcome(old[name], new[name]) for name in old if name in new},
    )


def scores_of(conversation: Conversation) -> dict[str, float]:
    """Give a conversation's value of each judgement: the mean where several of its spans have one."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for evaluation in conversation.evaluations:
        if evaluation.value is not None and not math.isnan(evaluation.value):
            values[evaluation.name].append(evaluation.value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _outcome(before: float, after: float) -> Outcome:
    # Means of decimal fractions differ in the last bits without anybody having judged differently.
    if math.isclose(before, after, rel_tol=1e-9, abs_tol=1e-12):
        return "unchanged"
    return "improved" if after > before else "regressed"


def _evaluations(pairs: Sequence[ConversationPair]) -> tuple[EvaluationComparison, ...]:
    scores = [(scores_of(pair.baseline), scores_of(pair.candidate)) for pair in pairs]
    names = {name for sides in scores for side in sides for name in side}
    return tuple(_evaluation(name, scores) for name in sorted(names, key=lambda n: (n != "reward", n)))


def _evaluation(
    name: str, scores: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]
) -> EvaluationComparison:
    judged = [(old[name], new[name]) for old, new in scores if name in old and name in new]
    outcomes = Counter(_outcome(*values) for values in judged)
    return EvaluationComparison(
        name=name,
        baseline_mean=math.fsum(old for old, _ in judged) / len(judged) if judged else None,
        candidate_mean=math.fsum(new for _, new in judged) / len(judged) if judged else None,
        pairs=len(judged),
        improved=outcomes["improved"],
        regressed=outcomes["regressed"],
        unchanged=outcomes["unchanged"],
        unjudged=sum(1 for old, new in scores if (name in old) is not (name in new)),
    )


def _totals(pairs: Sequence[ConversationPair]) -> Totals:
    sides = [(_quantities(pair.baseline), _quantities(pair.candidate)) for pair in pairs]

    def total(name: str) -> Total:
        both = [
            (old, new)
            for before, after in sides
            if (old := before[name]) is not None and (new := after[name]) is not None
        ]
        return Total(math.fsum(old for old, _ in both), math.fsum(new for _, new in both), len(both))

    return Totals(
        tool_calls=total("tool_calls"),
        tool_errors=total("tool_errors"),
        turns=total("turns"),
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
        cost_usd=total("cost_usd"),
    )


def _quantities(conversation: Conversation) -> dict[str, float | None]:
    turns = conversation.turns
    errors = {"tool_errors": float(tool_errors(turns)), "turns": float(len(turns))}
    return {**quantities(turns), **errors}


def _pair_order(pair: ConversationPair) -> tuple[object, ...]:
    return _natural(pair.key), _natural(pair.trial or ""), pair.baseline.conversation_id


def _natural(text: str) -> tuple[int, int, str]:
    """Order numbers by their value and before other texts."""
    return (0, int(text), text) if text.isascii() and text.isdigit() and len(text) < 20 else (1, 0, text)
