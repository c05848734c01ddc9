"""A model as a judge, alone with one answer, or between two.

The rules:

1. The judge is pinned: its model, its rubric and the words that it is asked with are part of what its scores are kept by.
2. Between two answers it is asked in both orders. Where it prefers the first place rather than an answer, that is a tie,
   and the score says so: 0.5.
3. What it says unreadably is unscored. A server that is not there is a failure, and tried again at the next scoring.
4. An answer that speaks to its judge is unscored, unasked, and says so: a person looks at it.
5. A judge is secondary, whatever anybody asks, until it is calibrated against people: see `replay.scorers.judge.calibration`.
6. It reaches the host of `base_url` and no other, and only where `--allow-host` names it.
"""

from __future__ import annotations

from collections.abc import Sequence

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


@scorer(version="1", level="secondary", hosts=("{base_url}",), judges=True, pins=_PINS)
def judge(
    subject: Subject,
    *,
    base_url: str,
    model: str,
    rubric: str,
    key_env: str = "",
    context: bool = True,
    json_mode: bool = False,
    max_tokens: int = _MAX_TOKENS,
    most_characters: int = _MOST_CHARACTERS,
    seed: int = 7,
    timeout: float = 60.0,
    retries: int = 3,
    usd_per_million: Sequence[float] = (),
) -> Score:
    """A model finds that the answer meets a rubric."""
    if stopped(subject) or not subject.run.answer_text:
        return Score(None, subject.status)
    if prompts.addresses_judge(subject.run.answer_text):
        return _addressed(subject)
    client = ChatClient(base_url, model, key_env=key_env, timeout=timeout, retries=retries, seed=seed)
    messages = prompts.pointwise(subject, rubric, context=context, most=most_characters)
    reply = client.ask(messages, max_tokens=max_tokens, json_mode=json_mode)
    cost, tokens = _cost([reply], usd_per_million)
    said = reading.verdict(reply.text)
    evidence = (subject.run.turn_id,)
    if said is None:
        return Score(None, UNREADABLE, evidence, "The judge gave no verdict that can be read.", cost, tokens)
    return Score(1.0 if said == "yes" else 0.0, said, evidence, reading.reason(reply.text), cost, tokens)


@scorer(version="1", level="secondary", hosts=("{base_url}",), judges=True, pins=_PINS)
def pairwise_judge(
    subject: Subject,
    *,
    base_url: str,
    model: str,
    rubric: str,
    key_env: str = "",
    context: bool = False,
    json_mode: bool = False,
    max_tokens: int = _MAX_TOKENS,
    most_characters: int = _MOST_CHARACTERS,
    seed: int = 7,
    timeout: float = 60.0,
    retries: int = 3,
    usd_per_million: Sequence[float] = (),
) -> Score:
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
    client = ChatClient(base_url, model, key_env=key_env, timeout=timeout, retries=retries, seed=seed)
    replies = [
        client.ask(
            prompts.pairwise(subject, answers, rubric, context=context, most=most_characters),
            max_tokens=max_tokens,
            json_mode=json_mode,
        )
        for answers in ((mine, other), (other, mine))
    ]
    cost, tokens = _cost(replies, usd_per_million)
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
