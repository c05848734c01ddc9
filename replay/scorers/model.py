"""What a scorer is, what it is given and what it gives: Scorer, Subject, Score.

The rules:

1. A score is a number from 0 to 1, and 1 is good; None is unscored, and never 0. A scorer may give a `Score`, a number, a
   truth value or None.
2. Every score cites spans: those that the scorer names, else the execution's own agent span. A scorer that cites a span
   that it was not shown, or gives a number outside of 0 to 1, has failed, and its case is unscored.
3. A scorer that raises has failed, too: the case is unscored, with the error's type, and nothing else stops.
4. A scorer is known by its name, its version and a digest: of its options, of where it is imported from and, for one that is
   not ours, of its source. Change what it does, and change its version.
5. `@scorer` judges one execution; `@set_scorer` judges all executions of an arm, which it is given one after the other.
6. A scorer sees what was recorded, and nothing else. One that has to reach a host names it in `hosts`, and reaches it only
   where whoever scores allows that host as well. Such a scorer is a judge: what is asked elsewhere is nobody's rule.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias, TypedDict, Unpack, get_args, overload

from auditlog.values import Json, Turn
from replay.canonical import digest_of
from replay.diff.model import CaseStatus, Step
from replay.diff.steps import steps_of
from replay.errors import ReplayLeak, ScorerError
from replay.running.cases import Case

Level = Literal["hard", "primary", "secondary"]
"""`hard`: a value below 1 is a violation; `primary`: decides by its mean; `secondary`: informs."""
LEVELS: tuple[Level, ...] = get_args(Level)

FAILED = "failed"
NOT_APPLICABLE = "not applicable"

_LONGEST_EXPLANATION = 2_000


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says of an execution."""

    value: float | None
    """From 0 to 1, 1 is good; None is unscored."""
    label: str = ""
    """One or two words, such as `promises a refund`."""
    evidence: tuple[str, ...] = ()
    """Ids of the spans that it rests on."""
    explanation: str = ""
    """One or two sentences for a person."""
    cost_usd: float | None = None
    """What the judgement itself cost."""
    tokens: int | None = None
    """What the judgement itself took, input and output."""
    failed: bool = False
    """Unscored because the scorer failed, not because it had nothing to say; scoring again tries again."""


ScorerReturn: TypeAlias = Score | float | bool | None


class ScorerKey(NamedTuple):
    """What scores are kept by."""

    scorer: str
    version: str
    config: str
    """16 hex digits: the digest of the options, of what it is, and of the expectations where the scorer reads any."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One execution of a case, and what stands beside it."""

    case: Case
    run: Turn
    """What this execution did."""
    reference: Turn | None = None
    """What it is compared with: the baseline's execution of the same repeat, or the recorded turn where no baseline was run.
    The baseline's own reference is `baseline_2`, or the baseline's next repeat; None where neither ran."""
    recorded: Turn | None = None
    """None where the store does not hold it any more."""
    history: tuple[Turn, ...] = ()
    """The recorded turns of the conversation before this one, oldest first."""
    arm: str = "candidate"
    repeat: int = 0
    status: CaseStatus = "complete"
    """How the execution ended; one that did not complete is scored by what it did until then."""
    reference_status: CaseStatus = "complete"
    expected: Mapping[str, Json] = field(default_factory=dict)
    """What somebody expects of this case, by name, such as `answer`; empty where nobody does."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The execution's calls of tools and retrievers, its hand-offs, and its answer."""
        return steps_of([self.run])

    @property
    def span_ids(self) -> frozenset[str]:
        """Every span that a score may cite."""
        beside = [turn for turn in (self.reference, self.recorded) if turn is not None]
        return frozenset(span.span_id for turn in (self.run, *beside, *self.history) for span in turn.spans)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A named, versioned judgement."""

    name: str
    version: str
    level: Level
    function: Callable[..., ScorerReturn]
    """Of a `Subject` (or, for a scorer of a set, an iterable of them) and the options as keywords."""
    kind: Literal["case", "set"] = "case"
    options: Mapping[str, Json] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    """Hosts that it asks to reach, as `name:port` or an address; `{option}` stands for what an option says."""
    expects: tuple[str, ...] = ()
    """The names in `Subject.expected` that it reads."""
    summary: str = ""
    """One line that says what is good."""
    judges: bool = False
    """A model decides: it counts as secondary until it is calibrated. So does any scorer that has hosts."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """What its scores are kept by besides the options."""

    def key(self, expectations: str = "") -> ScorerKey:
        """Give what its scores are kept by.

        Args:
            expectations: the digest of the expectations; counts only where it reads any.
        """
        said: dict[str, Json] = {"options": dict(self.options)}
        if self.pins:
            said["pins"] = dict(self.pins)
        if self.expects and expectations:
            said["expectations"] = expectations
        return ScorerKey(self.name, self.version, digest_of(said)[:16])

    @property
    def is_judge(self) -> bool:
        """Whether it counts as secondary until people agree with it."""
        return self.judges or bool(self.hosts)

    @property
    def needed_hosts(self) -> tuple[str, ...]:
        """The hosts that it asks to reach, with its options put in."""
        said = {name: str(value) for name, value in self.options.items()}
        return tuple(host.format_map(said) for host in self.hosts)

    def configured(self, **options: Json) -> Scorer:
        """Give the same scorer with some options set."""
        return replace(self, options={**self.options, **options})

    def score(self, subject: Subject) -> Score:
        """Judge one execution; whatever the scorer does, this gives a score (rules 1 to 3)."""
        return self._checked(
            functools.partial(self.function, subject, **self.options),
            (subject.run.turn_id,),
            lambda: subject.span_ids,
        )

    def score_set(self, subjects: Iterable[Subject]) -> Score:
        """Judge all executions of an arm; they are taken one after the other."""
        seen: set[str] = set()
        first: list[str] = []

        def watched() -> Iterable[Subject]:
            for subject in subjects:
                seen.update(span.span_id for span in subject.run.spans)
                first.extend([subject.run.turn_id] if not first else [])
                yield subject

        return self._checked(functools.partial(self.function, watched(), **self.options), first, lambda: seen)

    def _checked(
        self,
        judge: Callable[[], ScorerReturn],
        default: Iterable[str],
        shown: Callable[[], Iterable[str]],
    ) -> Score:
        try:
            given = judge()
        except ReplayLeak as leak:
            return failure(f"The scorer was refused: {leak}", tuple(default))
        except ScorerError as error:
            return failure(str(error), tuple(default))
        except Exception as error:  # noqa: BLE001 - rule 3
            return failure(f"The scorer raised {type(error).__qualname__}.", tuple(default))
        return _sound(given, tuple(default), shown)


def failure(why: str, evidence: tuple[str, ...] = ()) -> Score:
    """Give the score of a case on which the scorer failed."""
    return Score(None, FAILED, evidence, why, failed=True)


class ScorerOptions(TypedDict, total=False):
    """What `@scorer` and `@set_scorer` take."""

    name: str | None
    """By default the function's."""
    version: str
    """Change it when what the function says changes; `1` by default."""
    level: Level
    """What a bad score means: `primary` by default, and `secondary` for a scorer of a set."""
    hosts: Iterable[str]
    """Hosts that it has to reach, as `name:port`, an address, or `{option}` for the address in an option."""
    expects: Iterable[str]
    """Names in `Subject.expected` that it reads."""
    options: Mapping[str, Json] | None
    """Further keyword arguments of the function, part of what its scores are kept by."""
    judges: bool
    """A model decides, so that it counts as secondary until it is calibrated."""
    pins: Mapping[str, str] | None
    """Further texts that its scores are kept by, such as the digest of a prompt."""


@overload
def scorer(function: Callable[..., ScorerReturn]) -> Scorer: ...
@overload
def scorer(**options: Unpack[ScorerOptions]) -> Callable[[Callable[..., ScorerReturn]], Scorer]: ...
def scorer(
    function: Callable[..., ScorerReturn] | None = None, **options: Unpack[ScorerOptions]
) -> Scorer | Callable[[Callable[..., ScorerReturn]], Scorer]:
    """Make a scorer of a function of a `Subject`.

    Args:
        function: gives a Score, a number from 0 to 1, a truth value, or None for unscored.
        options: see `ScorerOptions`.
    """
    make = _maker("case", options)
    return make if function is None else make(function)


@overload
def set_scorer(function: Callable[..., ScorerReturn]) -> Scorer: ...
@overload
def set_scorer(**options: Unpack[ScorerOptions]) -> Callable[[Callable[..., ScorerReturn]], Scorer]: ...
def set_scorer(
    function: Callable[..., ScorerReturn] | None = None, **options: Unpack[ScorerOptions]
) -> Scorer | Callable[[Callable[..., ScorerReturn]], Scorer]:
    """Make a scorer of a function of all executions of an arm, which come as an iterable of `Subject`.

    Args:
        function: gives a Score, a number from 0 to 1, a truth value, or None for unscored.
        options: see `ScorerOptions`.
    """
    make = _maker("set", {"level": "secondary", **options})
    return make if function is None else make(function)


def _maker(
    kind: Literal["case", "set"], given: ScorerOptions
) -> Callable[[Callable[..., ScorerReturn]], Scorer]:
    if unknown := sorted(given.keys() - ScorerOptions.__annotations__.keys()):
        known = ", ".join(ScorerOptions.__annotations__)
        msg = f"A scorer takes no {unknown[0]!r}; it takes {known}."
        raise TypeError(msg)
    level = given.get("level", "primary")
    if level not in LEVELS:
        msg = f"A scorer's level is one of {', '.join(LEVELS)}, not {level!r}."
        raise ValueError(msg)

    def make(of: Callable[..., ScorerReturn]) -> Scorer:
        return Scorer(
            name=given.get("name") or of.__name__,
            version=given.get("version", "1"),
            level=level,
            function=of,
            kind=kind,
            options=dict(given.get("options") or {}),
            hosts=tuple(given.get("hosts", ())),
            expects=tuple(given.get("expects", ())),
            summary=(of.__doc__ or "").strip().partition("\n")[0],
            judges=given.get("judges", False),
            pins=dict(given.get("pins") or {}),
        )

    return make


def _sound(given: object, default: tuple[str, ...], shown: Callable[[], Iterable[str]]) -> Score:
    """Make a proper score of what a scorer gave (rules 1 and 2)."""
    match given:
        case None:
            return Score(None, NOT_APPLICABLE, default)
        case Score():
            score = given
        case bool() | int() | float():
            score = Score(float(given))
        case _:
            return failure(f"The scorer gave {type(given).__qualname__}, which is no score.", default)
    value = score.value
    if value is not None and (
        not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1
    ):
        return failure(f"The scorer gave {value!r:.40}; a score is a number from 0 to 1.", default)
    evidence = tuple(score.evidence) or default
    if score.evidence and not set(evidence) <= set(shown()):
        return failure("The scorer cites a span that is not one of this case's.", default)
    return replace(
        score,
        value=None if value is None else float(value),
        label=str(score.label) or (NOT_APPLICABLE if value is None else ""),
        evidence=evidence,
        explanation=str(score.explanation)[:_LONGEST_EXPLANATION],
    )
