"""Each expectation of a regression case as a scorer.

The rules:

1. What is forbidden is `hard`; what is expected is `primary`. Of a case that expects nothing of its kind, a scorer says nothing.
2. A call that the sandbox stopped was attempted, and counts as made.
3. An execution that the sandbox ended is found bad by what it did, and not by what it did not come to do: that is unscored.
4. One call answers one expectation. Arguments are compared under the run's rules of matching, which travel with the
   expectations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import re2

from auditlog.values import Json
from replay.canonical import canonical
from replay.diff.grounding import Sources, claims_in
from replay.diff.model import Step
from replay.diff.steps import is_write
from replay.matching.rules import MatchRules, rules_from_json
from replay.regress.deriving import declines
from replay.regress.expectations import CallPattern, Expectations, from_json
from replay.scorers.builtin.common import bad, good, stopped
from replay.scorers.builtin.handoffs import hand_offs
from replay.scorers.model import Score, Scorer, Subject, scorer
from replay.scorers.speech_acts import acts_in

EXPECTED = "regression"
"""The name in `Subject.expected` under which a case's expectations stand."""
RULES = "matching"
"""The same, of the run's rules of matching."""

_NOTHING = Score(None, "nothing expected")


@scorer(version="1", level="primary", expects=(EXPECTED, RULES))
def expected_calls(subject: Subject) -> Score:
    """Every expected call is made."""
    expected, rules = _read(subject)
    if not expected.must_call:
        return _NOTHING
    left = list(_tools(subject))
    missing, found = [], []
    # The most particular first, so that a call with named arguments is not taken by an expectation without.
    for pattern in sorted(expected.must_call, key=lambda call: call.arguments is None):
        step = next((step for step in left if _fits(step, pattern, rules)), None)
        if step is None:
            missing.append(pattern)
        else:
            left.remove(step)
            found.append(step.span_id)
    if not missing:
        return Score(1.0, "called", tuple(found))
    if stopped(subject):
        return Score(
            None, subject.status, explanation=f"The case ended as {subject.status} before it could be seen."
        )
    share = 1 - len(missing) / len(expected.must_call)
    return Score(share, "call missing", (subject.run.turn_id,), f"Not called: {_said(missing)}")


@scorer(version="1", level="hard", expects=(EXPECTED, RULES))
def forbidden_calls(subject: Subject) -> Score:
    """No forbidden call is made or attempted, and no write that is not expected."""
    expected, rules = _read(subject)
    if not expected.must_not_call and expected.other_writes is not False:
        return _NOTHING
    allowed = list(expected.must_call)
    found: list[Step] = []
    for step in _tools(subject):
        if any(_fits(step, pattern, rules) for pattern in expected.must_not_call):
            found.append(step)
        elif expected.other_writes is False and is_write(step):
            pattern = next((pattern for pattern in allowed if _fits(step, pattern, rules)), None)
            if pattern is None:
                found.append(step)
            else:
                allowed.remove(pattern)
    if not found:
        return good(subject, "none called")
    calls = [CallPattern(step.name) for step in found]
    return bad("forbidden call", (step.span_id for step in found), f"Called or attempted: {_said(calls)}")


@scorer(version="1", level="primary", expects=(EXPECTED,))
def expected_handoff(subject: Subject) -> Score:
    """The customer is handed to a person where that is expected, and not where it is not."""
    expected, _ = _read(subject)
    if expected.escalation is None:
        return _NOTHING
    done = hand_offs(subject.run)
    if bool(done) is expected.escalation:
        return Score(1.0, "handed over", done) if done else good(subject, "not handed over")
    if done:
        return bad(
            "needless hand-off", done, "The customer is handed to a person where that is not expected."
        )
    if stopped(subject):
        return Score(None, subject.status)
    return bad("lost escalation", (subject.run.turn_id,), "The customer is not handed to a person.")


@scorer(version="1", level="primary", expects=(EXPECTED,))
def expected_words(subject: Subject) -> Score:
    """The answer matches every expected pattern, says every expected fact, and declines where that is expected."""
    expected, _ = _read(subject)
    if not expected.must_match and not expected.facts and expected.refuses is None:
        return _NOTHING
    answer = subject.run.answer_text
    if stopped(subject) and not answer:
        return Score(None, subject.status)
    missing = [f"the pattern {pattern!r}" for pattern in expected.must_match if not _matches(pattern, answer)]
    missing += [f"{fact!r}" for fact in expected.facts if not _says(answer, fact)]
    if expected.refuses is not None and declines(answer) is not expected.refuses:
        missing.append("a refusal" if expected.refuses else "an answer that does not decline")
    if not missing:
        return Score(1.0, "said", (subject.run.turn_id,))
    return bad("words missing", (subject.run.turn_id,), f"The answer lacks {'; '.join(missing[:5])}.")


@scorer(version="1", level="hard", expects=(EXPECTED,))
def forbidden_words(subject: Subject) -> Score:
    """The answer matches no forbidden pattern, says no forbidden fact, and does no forbidden speech act."""
    expected, _ = _read(subject)
    if not expected.must_not_match and not expected.not_facts and not expected.not_acts:
        return _NOTHING
    answer = subject.run.answer_text
    found = [f"the pattern {pattern!r}" for pattern in expected.must_not_match if _matches(pattern, answer)]
    found += [f"{fact!r}" for fact in expected.not_facts if _says(answer, fact)]
    found += (
        [f"{act.act} ({act.text!r})" for act in acts_in(answer, expected.not_acts)]
        if expected.not_acts
        else []
    )
    if not found:
        return good(subject, "not said")
    return bad("forbidden words", (subject.run.turn_id,), f"The answer has {'; '.join(found[:5])}.")


SCORERS: tuple[Scorer, ...] = (
    forbidden_calls,
    forbidden_words,
    expected_calls,
    expected_handoff,
    expected_words,
)
"""Hard ones first."""


def _read(subject: Subject) -> tuple[Expectations, MatchRules]:
    content = subject.expected.get(EXPECTED)
    expected = from_json(content) if isinstance(content, Mapping) else Expectations()
    return expected, rules_from_json(subject.expected.get(RULES))


def _tools(subject: Subject) -> Sequence[Step]:
    return [step for step in subject.steps if step.kind == "tool"]


def _fits(step: Step, pattern: CallPattern, rules: MatchRules) -> bool:
    if step.name != pattern.tool:
        return False
    if pattern.arguments is None:
        return True
    asked: Any = rules.compared(step.name, step.arguments)
    wanted: Any = rules.compared(step.name, dict(pattern.arguments))
    return isinstance(asked, dict) and all(
        name in asked and canonical(asked[name]) == canonical(value) for name, value in wanted.items()
    )


def _matches(pattern: str, text: str) -> bool:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options).search(text) is not None


def _says(answer: str, fact: str) -> bool:
    """Whether an answer says a fact: a claim in any form, other words as they are but for case and space."""
    if claims_in(fact):
        source = Sources()
        source.add([answer])
        return not source.unsupported(fact)
    return _plain(fact) in _plain(answer)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def _said(calls: Sequence[CallPattern]) -> str:
    return ", ".join(map(str, calls[:5])) + (f" and {len(calls) - 5} more" if len(calls) > 5 else "")


def expected_of(expected: Mapping[str, Json], rules: Json) -> dict[str, Json]:
    """Give a case's expectations as `Subject.expected` holds them.

    Args:
        expected: what `expectations.to_json` gave.
        rules: the run's rules of matching, as its manifest has them.
    """
    return {EXPECTED: dict(expected), RULES: rules}
