"""What the gate knows of each case: facts of every execution, as small values that fit into memory for a long run.

The rules:

1. Facts are what gates: how an execution ended, which writes it tried, whether it handed the customer over, what it took.
   Words are not among them; scorers judge those.
2. A write that the sandbox stopped was tried, and counts as one. What it is about are its arguments without amounts of money,
   which are kept apart, without free text, and without what the run's match rules forgive: a person, an account, an order. No
   rule forgives an amount of money, and a write of which one leaves out more than free text says so.
   Free text says nothing only where the recording served the call, and so had it: every argument of a write is kept beside that,
   and a name, an address or a statement in one that was not served is another write.
3. A hand-over that failed hands nobody over; one that the sandbox stopped was tried, and reached nobody yet.
4. An execution that was not served to its end (`cut`) proves nothing by what it did not do.
5. Two cases whose agents were handed the same arguments are one case for a bound: repeats are not independent.
6. How common an answer is, is known once all are: the share of the other conversations that got the same one in the same arm.
7. A tool is what the candidate calls it, so a call that was not served, of a tool that no recorded turn of these cases and no run
   of their baseline called, is kept as one of an unknown tool, whatever its declared effect.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from auditlog.values import Json, Turn
from replay.attributes import OTHER_EPOCH
from replay.canonical import digest_of
from replay.diff import CaseStatus, steps_of
from replay.diff.findings import money_changes
from replay.diff.json_diff import canonical
from replay.diff.measures import quantities
from replay.diff.model import CUT, PathChange, Step
from replay.diff.steps import is_escalation, is_write, unserved
from replay.matching.rules import NO_RULES, MatchRules
from replay.pinned.case import NOT_PINNED
from replay.results.trials import CaseTrials, Trial
from replay.running.cases import unreplayable
from replay.sandbox.modes import MADE_UP

_FREE_TEXT = re.compile(r"\s.*[a-zäöüß]|[a-zäöüß].*\s", re.DOTALL)
"""Words between blanks are free text; an account's number in groups is none."""


class Write(NamedTuple):
    """A call that changes the world, or would have."""

    tool: str
    money: str = "{}"
    """Its amounts of money, in canonical form."""
    about: str = ""
    """The digest of what it is about (rule 2)."""
    full: str = ""
    """The digest of all its arguments."""
    served: bool = True
    """Whether the recording had it, or its body ran."""
    forgiven: bool = False
    """Whether match rules leave out something of what it is about."""

    @property
    def effect(self) -> tuple[str, str, str]:
        """What two writes share that do the same: tool, money, and what they are about."""
        return self.tool, self.money, self.about


@dataclass(frozen=True, slots=True)
class Facts:
    """One execution."""

    arm: str
    repeat: int
    status: CaseStatus
    writes: tuple[Write, ...] = ()
    """In order."""
    calls: tuple[str, ...] = ()
    """Each call, as tool and the digest of its arguments, in order."""
    unknown: tuple[str, ...] = ()
    """Tools that it called, was not served and said not to write with; once all cases are known, those that nobody knows."""
    escalated: bool = False
    """It handed the customer over, or tried to where the sandbox stopped it."""
    reached: bool = False
    """A hand-over was served, and did not fail."""
    failed: bool = False
    made_up: tuple[str, ...] = ()
    """What answers it got that nobody gave to its calls, such as `simulated`; such an execution is no evidence."""
    marked: frozenset[str] = frozenset()
    """What of its answers is true and to be known: `live`, `other_epoch` (recorded with another number of writes before)."""
    not_pinned: tuple[str, ...] = ()
    """What it asked for that the recording did not have, such as `random`."""
    answer: str = ""
    """The answer's digest, blanks and case aside; empty where there is none."""
    unlike: float | None = None
    """The share of the other conversations that got another answer in this arm; None until all are known."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """By the metric's name; None where the scorer had nothing to say."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By the metric's name: the scorer's word for a value below 1."""
    unscored: frozenset[str] = frozenset()
    """Metrics whose scorer failed here."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """By the metric's name: what a scorer said of a value below 1."""

    @property
    def cut(self) -> bool:
        """Whether it was not served to its end."""
        return self.status in CUT

    @property
    def write_set(self) -> frozenset[str]:
        """The tools that it wrote with, or tried to."""
        return frozenset(write.tool for write in self.writes)

    @property
    def tools(self) -> frozenset[str]:
        """Everything that it called, or tried to."""
        return frozenset(call.rpartition(" ")[0] for call in self.calls)


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case, with every execution of it."""

    case_id: str
    conversation_id: str
    turn_index: int
    span_id: str
    same_as: str
    """Equal for cases whose agents were handed the same arguments."""
    tags: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    sampled: bool = False
    """Whether the second baseline was to run it, too."""
    lost: str = ""
    """Why the recording cannot be replayed (any more); empty where it can."""
    whole: bool = True
    """Whether the recorded turn holds everything: it ended, and nothing of it is lossy."""
    recorded: Facts | None = None
    """What was recorded; None where the store does not hold it any more."""
    began_ns: int = 0
    ended_ns: int = 0
    """When the recorded turn was; 0 where nobody knows."""
    runs: tuple[Facts, ...] = ()

    @property
    def where(self) -> str:
        """Its conversation and turn, for people."""
        return f"{self.conversation_id} turn {self.turn_index + 1}"

    def of(self, *arms: str) -> tuple[Facts, ...]:
        """Give the executions of these arms."""
        return tuple(run for run in self.runs if run.arm in arms)

    @property
    def baselines(self) -> tuple[Facts, ...]:
        """Every run of the version in production."""
        return self.of("baseline", "baseline_2")

    @property
    def candidates(self) -> tuple[Facts, ...]:
        """Every run of the candidate."""
        return self.of("candidate")


class Judged(NamedTuple):
    """What a scorer said of an execution."""

    value: float | None
    why: str = ""
    failed: bool = False
    label: str = ""


Scores = Mapping[tuple[str, str, int], Mapping[str, Judged]]
"""By case id, arm and repeat, and then by the metric's name."""


def facts_of(
    trials: Iterable[CaseTrials], scores: Scores, rules: MatchRules = NO_RULES
) -> Iterator[CaseFacts]:
    """Give the facts of each case.

    Args:
        trials: the run's cases.
        scores: what scorers said.
        rules: the differences between two calls that the run declared to be none.
    """
    for tried in trials:
        case, recorded = tried.case, tried.recorded
        yield CaseFacts(
            case_id=case.case_id,
            conversation_id=case.conversation_id,
            turn_index=case.turn_index,
            span_id=case.span_id,
            same_as=case.span_id if recorded is None else digest_of(recorded.agent.input),
            tags={} if recorded is None else {**recorded.agent.tags, "had_write": _had_write(recorded)},
            weight=case.weight,
            sampled=case.sampled,
            lost=unreplayable(recorded) or "",
            whole=recorded is not None and is_whole(recorded),
            recorded=None if recorded is None else _recorded(recorded, rules),
            began_ns=0 if recorded is None else recorded.agent.start_ns,
            ended_ns=0 if recorded is None else recorded.agent.end_ns or recorded.agent.start_ns,
            runs=tuple(
                execution(trial, scores.get((case.case_id, trial.arm, trial.repeat), {}), rules)
                for trial in tried.trials
            ),
        )


def execution(trial: Trial, said: Mapping[str, Judged], rules: MatchRules = NO_RULES) -> Facts:
    """Give the facts of one execution."""
    turn = trial.turn
    tiers = {span.replay.match_tier or "" for span in turn.spans if span.replay is not None}
    done = _done(turn, trial.arm, trial.repeat, trial.status, rules)
    below = {name: judged for name, judged in said.items() if judged.value is not None and judged.value < 1}
    return replace(
        done,
        failed=trial.status not in CUT and (turn.agent.status == "error" or trial.status == "errored"),
        made_up=tuple(MADE_UP[tier] for tier in sorted(tiers & MADE_UP.keys())),
        marked=_marked(turn, tiers),
        not_pinned=_not_pinned(turn),
        measures=quantities([turn]),
        scores={name: judged.value for name, judged in said.items()},
        labels={name: judged.label for name, judged in below.items()},
        unscored=frozenset(name for name, judged in said.items() if judged.failed),
        evidence={name: judged.why for name, judged in below.items() if judged.why},
    )


def with_known_tools(cases: Sequence[CaseFacts]) -> tuple[CaseFacts, ...]:
    """Keep of the tools that were not served those that no recording and no baseline of these cases calls (rule 7)."""
    known = frozenset[str]().union(
        *(
            run.tools
            for case in cases
            for run in (*case.baselines, *(() if case.recorded is None else (case.recorded,)))
        )
    )
    return tuple(
        replace(
            case,
            runs=tuple(
                replace(run, unknown=tuple(tool for tool in run.unknown if tool not in known))
                for run in case.runs
            ),
        )
        if any(run.unknown for run in case.runs)
        else case
        for case in cases
    )


def with_answers_compared(cases: Sequence[CaseFacts]) -> tuple[CaseFacts, ...]:
    """Say of each execution how many other conversations got another answer (rule 6)."""
    counted: dict[tuple[str, int], Counter[str]] = {}
    conversations: dict[tuple[str, int], set[str]] = {}
    seen: set[tuple[str, int, str, str]] = set()
    for case in cases:
        for run in case.runs:
            arm = run.arm, run.repeat
            conversations.setdefault(arm, set()).add(case.conversation_id)
            at = (*arm, case.conversation_id, run.answer)
            if at not in seen:
                seen.add(at)
                counted.setdefault(arm, Counter())[run.answer] += 1

    def unlike(run: Facts) -> float:
        arm = run.arm, run.repeat
        others = len(conversations[arm]) - 1
        return 1.0 if others < 1 else 1 - (counted[arm][run.answer] - 1) / others

    return tuple(
        replace(case, runs=tuple(replace(run, unlike=unlike(run)) for run in case.runs)) for case in cases
    )


def _recorded(turn: Turn, rules: MatchRules) -> Facts:
    done = _done(turn, "recorded", 0, "complete", rules)
    return replace(done, failed=turn.agent.status == "error")


def _done(turn: Turn, arm: str, repeat: int, status: CaseStatus, rules: MatchRules) -> Facts:
    """Give what a turn did."""
    steps = steps_of([turn])
    tried = [step for step in steps if is_escalation(step)]
    handed = turn.escalation_reason is not None
    said = " ".join(turn.answer_text.split()).casefold()
    return Facts(
        arm=arm,
        repeat=repeat,
        status=status,
        writes=tuple(
            write_of(
                step.name,
                rules.compared(step.name, step.arguments),
                served=not unserved(step),
                whole=rules.kept(step.name, step.arguments),
            )
            for step in steps
            if _writes(step)
        ),
        calls=tuple(
            f"{step.name} {_short(canonical(rules.compared(step.name, step.arguments)))}"
            for step in steps
            if step.kind != "answer"
        ),
        unknown=tuple(
            dict.fromkeys(
                step.name
                for step in steps
                if unserved(step) and step.kind in ("tool", "retriever") and not _writes(step)
            )
        ),
        escalated=any(step.fault is None or unserved(step) for step in tried) if tried else handed,
        reached=any(step.fault is None and not unserved(step) for step in tried) if tried else handed,
        answer=_short(said) if said else "",
    )


def _writes(step: Step) -> bool:
    return is_write(step) or step.match_tier == "blocked"


def _marked(turn: Turn, tiers: Collection[str]) -> frozenset[str]:
    found = {"live"} if "live" in tiers else set()
    if any(span.attributes.get(OTHER_EPOCH) for span in turn.spans):
        found.add("other_epoch")
    return frozenset(found)


def is_whole(turn: Turn) -> bool:
    """Whether a recorded turn holds everything that happened."""
    return turn.status != "incomplete" and not any(
        span.lossy or span.erased or span.status == "incomplete" for span in turn.spans
    )


def _not_pinned(turn: Turn) -> tuple[str, ...]:
    found = turn.agent.attributes.get(NOT_PINNED)
    return tuple(map(str, found)) if isinstance(found, dict) else ()


def _had_write(turn: Turn) -> str:
    return "yes" if any(is_write(step) for step in steps_of([turn])) else "no"


def write_of(tool: str, arguments: Json, *, served: bool = True, whole: Json = None) -> Write:
    """Give what a write does, as its arguments say.

    Args:
        tool: its name.
        arguments: as they are compared.
        served: whether the recording had it, or its body ran.
        whole: the arguments with what match rules leave out; the same where it is not given.
    """
    whole = arguments if whole is None else whole
    changes = money_changes([PathChange(path, "add", None, value) for path, value in _leaves(whole, "")])
    amounts = {change.path: change.after for change in changes}
    about, all_about = (_about(given, amounts) for given in (arguments, whole))
    return Write(
        tool,
        canonical(amounts),
        _short(canonical(about)),
        _short(canonical(arguments)),
        served,
        about != all_about,
    )


def _about(arguments: Json, amounts: Collection[str]) -> dict[str, Json]:
    return {
        path: value
        for path, value in _leaves(arguments, "")
        if path not in amounts and not (isinstance(value, str) and _FREE_TEXT.search(value.strip()))
    }


def _leaves(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(item, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")
        case list():
            for index, item in enumerate(value):
                yield from _leaves(item, f"{path}/{index}")
        case _:
            yield path, value


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
