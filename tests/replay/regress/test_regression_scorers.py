"""Each expectation as a scorer: met, not met, and not to be judged."""

from __future__ import annotations

import pytest

from auditlog.values import Fault, Replay, Span, Turn
from replay.matching.rules import parse_rules, rules_to_json
from replay.regress.expectations import from_words, to_json
from replay.regress.judging import CaseVerdict, Tally, _excess, _verdict, judge
from replay.regress.keeping import RegressionCase
from replay.regress.scorers import expected_of
from replay.running.cases import Case
from replay.scorers.model import Subject


def subject(
    expect=(),
    forbid=(),
    calls=(),
    answer="Done.",
    status="complete",
    rules=None,
    fault=None,
    recorded_fault=None,
):
    """Give an execution of calls (name, arguments, effect, tier) and what is expected of it."""
    agent = Span(
        trace_id="t",
        span_id="a",
        kind="agent",
        name="bot",
        start_ns=0,
        input={"q": "?"},
        output=answer,
        fault=fault,
    )
    spans = [
        Span(trace_id="t", span_id=f"s{n}", parent_span_id="a", kind="tool", name=name, effect=effect, input=arguments,
             start_ns=n, replay=Replay("run", "candidate", match_tier=tier[0] if tier else "exact"))
        for n, (name, arguments, effect, *tier) in enumerate(calls, start=1)
    ]  # fmt: skip
    recorded = Turn(Span(trace_id="t", span_id="a", kind="agent", start_ns=0, fault=recorded_fault), ())
    return Subject(
        case=Case("c", "conv", "t", "a", 0),
        run=Turn(agent, (agent, *spans)),
        recorded=recorded,
        status=status,
        expected=expected_of(
            to_json(from_words(expect, forbid)), rules_to_json(parse_rules(rules)) if rules else None
        ),
    )


REFUND = ("refund", {"id": "A1", "amount": 40, "key": "x1"}, "write")

JUDGED = [
    (subject(["tool:refund"], calls=[REFUND]), "passed", ""),
    (subject(["tool:refund"]), "failed", "primary"),
    (subject(['tool:refund {"amount": 40.0}'], calls=[REFUND]), "passed", ""),
    (subject(['tool:refund {"amount": 41}'], calls=[REFUND]), "failed", "primary"),
    (subject(["tool:refund", 'tool:refund {"amount": 40}'], calls=[REFUND]), "failed", "primary"),
    (subject(["tool:refund", 'tool:refund {"amount": 40}'], calls=[REFUND, REFUND]), "passed", ""),
    (subject(['tool:refund {"key": "x2"}'], calls=[REFUND], rules='[match.refund]\nignore = ["/key"]'), "passed", ""),
    (subject([], ["tool:refund"], calls=[REFUND]), "failed", "hard"),
    (subject([], ["write"], calls=[REFUND]), "failed", "hard"),
    (subject([], ["write"], calls=[("look", {}, "read")]), "passed", ""),
    (subject(["tool:refund"], ["write"], calls=[REFUND]), "passed", ""),
    (subject(["tool:refund"], ["write"], calls=[REFUND, REFUND]), "failed", "hard"),
    (subject([], ["write"], calls=[(*REFUND, "blocked")], status="blocked"), "failed", "hard"),
    (subject(["tool:refund"], [], calls=[("look", {}, "read", "miss")], status="diverged"), "unjudged", ""),
    (subject(["escalation"]), "failed", "primary"),
    (subject(["escalation"], calls=[("desk", {}, "control")]), "passed", ""),
    (subject([], ["escalation"], calls=[("desk", {}, "control")]), "failed", "primary"),
    (subject(["text:on its (way|road)"], answer="It is ON ITS WAY."), "passed", ""),
    (subject(["text:on its way"], answer="It left."), "failed", "primary"),
    (subject(["fact:40 EUR"], answer="You get €40.00 back."), "passed", ""),
    (subject(["fact:40 EUR"], answer="You get €41 back."), "failed", "primary"),
    (subject(["fact:track &  trace"], answer="See Track & Trace."), "passed", ""),
    (subject([], ["fact:40 EUR"], answer="You get 40 euros."), "failed", "hard"),
    (subject([], ["text:guarantee"], answer="We Guarantee it."), "failed", "hard"),
    (subject([], ["act:refund_promise"], answer="I promise you a full refund."), "failed", "hard"),
    (subject([], ["act:refund_promise"], answer="I cannot promise you a refund."), "passed", ""),
    (subject(["refusal"], answer="I cannot do that."), "passed", ""),
    (subject(["refusal"], answer="Gladly!"), "failed", "primary"),
    (subject(["escalation"], status="invalid"), "failed", "hard"),
    (subject([], ["write"], status="errored", fault=Fault("ValueError")), "failed", "primary"),
    (subject([], ["write"], status="errored", fault=Fault("ValueError"), recorded_fault=Fault("ValueError")), "passed", ""),
]  # fmt: skip


@pytest.mark.parametrize(("execution", "outcome", "level"), JUDGED)
def test_an_execution_is_judged_by_what_is_expected(execution, outcome, level):
    """What is forbidden is hard, what is expected primary; what cannot be seen is unjudged."""
    found = judge(execution)
    assert (outcome, level) == (found.outcome, found.level)
    assert bool(found.why) == (outcome != "passed")


def test_a_forbidden_call_cites_its_span():
    """Whoever reads a failure finds the call."""
    assert ("s1",) == judge(subject([], ["write"], calls=[REFUND])).evidence


CASE = RegressionCase("c", "conv", "t", "a", 0, "bot", from_words([], ["write"]))


@pytest.mark.parametrize(
    ("candidate", "beside", "known", "status"),
    [
        (Tally(1, 0, 0), Tally(), Tally(), "passed"),
        (Tally(0, 1, 0), Tally(), Tally(), "failed"),
        (Tally(4, 1, 0), Tally(), Tally(5, 0, 0), "failed"),
        (Tally(0, 1, 0), Tally(), Tally(4, 1, 0), "unstable"),
        (Tally(0, 2, 0), Tally(1, 1, 0), Tally(5, 2, 0), "unstable"),
        (Tally(0, 2, 0), Tally(2, 0, 0), Tally(6, 1, 0), "failed"),
        (Tally(0, 1, 0), Tally(1, 0, 0), Tally(7, 3, 0), "unjudged"),
        (Tally(0, 1, 0), Tally(1, 0, 0), Tally(99, 1, 0), "failed"),
        (Tally(1, 1, 0), Tally(2, 0, 0), Tally(6, 1, 0), "unstable"),
        (Tally(1, 0, 0), Tally(), Tally(4, 1, 0), "passed"),
        (Tally(), Tally(), Tally(5, 0, 0), "unjudged"),
        (Tally(2, 0, 1), Tally(), Tally(), "unjudged"),
        (Tally(0, 1, 1), Tally(), Tally(), "failed"),
    ],
)
def test_a_case_that_the_version_in_production_fails_too_is_unstable(candidate, beside, known, status):
    """A failure fails a case, unless the baseline is known to fail it as often; one failure beside one pass says little."""
    assert status == _verdict(CASE, candidate, beside, known, None).status


def test_unstable_cases_that_fail_more_often_than_they_used_to_fail_together():
    """Ten cases that fail one time in ten do not all fail by chance; two of them do."""

    def verdicts(failing):
        known = Tally(9, 1, 0)
        return [
            CaseVerdict(CASE, "unstable", Tally(0, 1) if n < failing else Tally(1, 0), known)
            for n in range(10)
        ]

    assert _excess([]) is None
    assert 1.0 == pytest.approx(_excess(verdicts(0)))
    assert 0.05 < _excess(verdicts(2)) < 1
    assert _excess(verdicts(10)) < 1e-6


def test_the_chance_is_that_of_the_binomial_distribution():
    """With one rate for all, the exact chance is the binomial's: here for 3 or more of 5 at one third."""
    known = Tally(1, 0, 0)._replace(failed=0)
    verdicts = [CaseVerdict(CASE, "unstable", Tally(0, 1) if n < 3 else Tally(1, 0), known) for n in range(5)]
    assert pytest.approx(51 / 243) == _excess(verdicts)
