"""A model as a judge, alone with one answer, or between two.

The rules:

1. The judge is pinned: its model, its rubric and the words that it is asked with are part of what its scores are kept by.
2. Between two answers it is asked in both orders. Where it prefers the first place rather than an answer, that is a tie,
   and the score says so: 0.5.
3. What it says unreadably is unscored. A server that is not there is a failure, and tried again at the next scoring.
4. An answer that speaks to its judge is unscored, unasked, and says so: a person looks at it.
5. A judge is secondary, whatever anybody asks, until it is calibrated against people: see `replay.scorers.judge.calibration`.
6. It reaches the host of `base_url` and no other, and only where `--allow-host` names it.
7. How a model is asked is the same for both: `Asking`, whose fields are the options of each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from auditlog.values import Json
from replay.errors import ScorerError
from replay.scorers.builtin.common import NO_REFERENCE, comparable, stopped
from replay.scorers.judge import prompts, reading
from replay.scorers.judge.client import ChatClient, Reply
from replay.scorers.model import Score, Subject, scorer

_MAX_TOKENS = 200
_MOST_CHARACTERS = 12_000
_PINS = {"prompt": prompts.DIGEST}

UNREADABLE = "unreadable verdict"
ADDRESSED = "addresses the judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a model is asked."""

    base_url: str
    model: str
    rubric: str
    key_env: str = ""
    """The variable that holds the key."""
    context: bool = True
    """Whether it sees the conversation before, too."""
    json_mode: bool = False
    max_tokens: int = _MAX_TOKENS
    most_characters: int = _MOST_CHARACTERS
    seed: int = 7
    timeout: float = 60.0
    retries: int = 3
    usd_per_million: Sequence[float] = ()
    """What a million input and a million output tokens cost."""

    def ask(self, asked: Sequence[list[dict[str, str]]]) -> list[Reply]:
        """Ask the model, once for each of these."""
        client = ChatClient(
            self.base_url, self.model, key_env=self.key_env, timeout=self.timeout, retries=self.retries, seed=self.seed
        )  # fmt: skip
        return [client.ask(one, max_tokens=self.max_tokens, json_mode=self.json_mode) for one in asked]


def _with_options(**usual: Json) -> Callable[[Callable[[Subject, Asking], Score]], Callable[..., Score]]:
    """Let a function of an `Asking` take its fields as options, by which a scorer's options are known."""

    def make(function: Callable[[Subject, Asking], Score]) -> Callable[..., Score]:
        @functools.wraps(function)
        def judging(subject: Subject, **options: Any) -> Score:
            return function(subject, Asking(**{**usual, **options}))

        empty = inspect.Parameter.empty
        options = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=usual.get(field.name, empty if field.default is MISSING else field.default),
            )
            for field in fields(Asking)
        ]
        first = inspect.Parameter("subject", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        judging.__signature__ = inspect.Signature([first, *options])  # type: ignore[attr-defined]
        return judging

    return make


@scorer(version="1", level="secondary", hosts=("{base_url}",), judges=True, pins=_PINS)
@_with_options()
def judge(subject: Subject, asking: Asking) -> Score:
    """A model finds that the answer meets a rubric."""
    if stopped(subject) or not subject.run.answer_text:
        return Score(None, subject.status)
    if prompts.addresses_judge(subject.run.answer_text):
        return _addressed(subject)
    messages = prompts.pointwise(subject, asking.rubric, context=asking.context, most=asking.most_characters)
    (reply,) = asking.ask([messages])
    cost, tokens = _cost([reply], asking.usd_per_million)
    said = reading.verdict(reply.text)
    evidence = (subject.run.turn_id,)
    if said is None:
        return Score(None, UNREADABLE, evidence, "The judge gave no verdict that can be read.", cost, tokens)
    return Score(1.0 if said == "yes" else 0.0, said, evidence, reading.reason(reply.text), cost, tokens)


@scorer(version="1", level="secondary", hosts=("{base_url}",), judges=True, pins=_PINS)
@_with_options(context=False)
def pairwise_judge(subject: Subject, asking: Asking) -> Score:
    """A model prefers the answer to the reference's, in both orders; a tie is 0.5."""
    if subject.reference is None or not comparable(subject):
        return NO_REFERENCE
    mine, other = subject.run.answer_text, subject.reference.answer_text
    if stopped(subject) or not mine or not other:
        return Score(None, subject.status)
    evidence = (subject.run.turn_id, subject.reference.turn_id)
    if mine == other:
        return Score(0.5, "tie", evidence, "Both answers are the same, word for word.")
    if prompts.addresses_judge(mine) or prompts.addresses_judge(other):
        return _addressed(subject)
    replies = asking.ask(
        [
            prompts.pairwise(
                subject, answers, asking.rubric, context=asking.context, most=asking.most_characters
            )
            for answers in ((mine, other), (other, mine))
        ]
    )
    cost, tokens = _cost(replies, asking.usd_per_million)
    first, second = (reading.winner(reply.text) for reply in replies)
    if first is None or second is None:
        return Score(None, UNREADABLE, evidence, "The judge gave no verdict that can be read.", cost, tokens)
    value = {("A", "B"): 1.0, ("B", "A"): 0.0}.get((first, second), 0.5)
    label = {1.0: "preferred", 0.0: "reference preferred"}.get(value, "tie")
    why = reading.reason(replies[0].text)
    if {first, second} in ({"A"}, {"B"}):
        why = f"In both orders the judge chose answer {first}: the place and not the answer."
    return Score(value, label, evidence, why, cost, tokens)


def _addressed(subject: Subject) -> Score:
    said = "The answer speaks to whoever judges it; the judge was not asked. Look at it."
    return Score(None, ADDRESSED, (subject.run.turn_id,), said)


def _cost(replies: Sequence[Reply], usd_per_million: Sequence[float]) -> tuple[float | None, int]:
    read, wrote = (
        sum(tokens) for tokens in zip(*((r.input_tokens, r.output_tokens) for r in replies), strict=True)
    )
    if not usd_per_million:
        return None, read + wrote
    if len(usd_per_million) != 2:
        msg = "`usd_per_million` is two prices: of a million input and of a million output tokens."
        raise ScorerError(msg)
    return (read * usd_per_million[0] + wrote * usd_per_million[1]) / 1e6, read + wrote
