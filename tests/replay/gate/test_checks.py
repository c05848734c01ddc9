"""Verdicts over cases: margins, bounds, confirmation, divergence, waivers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from auditlog.values import Replay, Span, Turn
from replay.attributes import OTHER_EPOCH
from replay.canonical import digest_of
from replay.gate.check import Check, concluded, with_waivers
from replay.gate.facts import Facts, Write, execution
from replay.gate.hard import Confirmation, hard_checks
from replay.gate.integrity import run_checks
from replay.gate.policy import Waiver
from replay.gate.quality import primary_checks
from replay.gate.searched import secondary_checks
from replay.gate.watched import watched
from replay.results.trials import Trial
from replay.sandbox.modes import MADE_UP

CALM = Facts("candidate", 0, "complete")
REFUND = replace(CALM, writes=(Write("issue_refund"),))
FAILED = replace(CALM, status="errored", failed=True)
MISSED = replace(CALM, status="diverged")
NONE = Confirmation(None, {}, "nothing was to be run.")


def found(checks, name):
    return next(check for check in checks if check.id == name)


def many(case, count, bad=0, run=FAILED, **more):
    return [case(n, candidate=run if n < bad else CALM, **more) for n in range(count)]


@pytest.mark.parametrize("metric", ["outcome", "write_set"])
def test_one_case_alone_is_not_blamed_on_a_missing_baseline(case, policy, metric):
    """Of a run of one case, whose baseline ran twice, the gate says that one is too few, and not that something did not run."""
    check = found(primary_checks(many(case, 1), policy()), f"primary.{metric}")

    said = "1 case can be compared: this run has no more, and one shows nothing by itself."
    assert ("INCONCLUSIVE", said) == (check.outcome, check.sentence)


def again(case, cases, runs, baseline=CALM):
    """Give a confirmation in which each case's candidate did these runs."""
    rerun = {}
    for one in cases:
        same = tuple(replace(run, arm="candidate", repeat=n) for n, run in enumerate(runs))
        other = tuple(replace(baseline, arm="baseline", repeat=n) for n in range(3))
        rerun[one.span_id] = replace(one, runs=(*other, *same))
    return Confirmation("R-again1", rerun)


@pytest.mark.parametrize(
    ("count", "bad", "outcome"), [(400, 0, "PASS"), (400, 40, "FAIL"), (60, 0, "INCONCLUSIVE")]
)
def test_a_primary_metric_passes_fails_or_is_not_known(case, policy, count, bad, outcome):
    """No worse than the margin passes, shown to be worse fails, and too few cases say how many more it takes."""
    check = found(primary_checks(many(case, count, bad), policy()), "primary.outcome")

    assert outcome == check.outcome
    if outcome == "INCONCLUSIVE":
        missing = check.figures["required_n"] - count
        assert missing > 0
        assert f"{missing:,} more than there are" in check.sentence


def test_a_hard_scorer_that_never_looked_is_no_pass(case, policy):
    """Executions that a scorer was not asked about, or failed on, are not among those without a violation."""
    asked = replace(policy("", scorers=("mine",)), hard=("mine",))
    good = replace(CALM, scores={"mine": 1.0})
    looked = [case(n, baseline=good, candidate=good) for n in range(400)]
    failed = replace(CALM, scores={"mine": None}, unscored=frozenset({"mine"}))
    some = [*looked[:300], *(case(n, candidate=failed) for n in range(300, 400))]
    never, seen, partly = (list(hard_checks(cases, NONE, asked)) for cases in (many(case, 400), looked, some))

    assert ("INCONCLUSIVE", False) == (found(never, "hard.mine").outcome, found(never, "hard.mine").waivable)
    assert "INCONCLUSIVE" == found(never, "hard_bound").outcome
    assert ("PASS", 400) == (
        found(seen, "hard.mine").outcome,
        found(seen, "hard.mine").figures["conversations"],
    )
    assert 300 == found(partly, "hard.mine").figures["conversations"]


def test_a_rerun_that_shows_nothing_is_not_flaky(case, policy):
    """Where the follow-up broke off, the violation was not seen again to the end, and nobody can sign it away."""
    cases = [case(0, candidate=REFUND)]
    check = found(hard_checks(cases, again(case, cases, [MISSED] * 3), policy()), "hard.new_write")
    assert ("INCONCLUSIVE", False, 1) == (check.outcome, check.waivable, check.figures["cut_again"])


def test_level_1_only_reports(case, policy):
    """At level 1 a regression is told, and decides nothing."""
    checks = list(primary_checks(many(case, 400, 40), policy(level=1)))

    assert {False} == {check.gates for check in checks}


def test_diverged_cases_both_ways(case, policy):
    """Where the verdict hangs on what stopped cases would have done, there is none."""
    check = found(primary_checks(many(case, 400, 30, MISSED), policy()), "primary.outcome")

    assert "INCONCLUSIVE" == check.outcome
    assert (
        "30 cases of them not served to the end, or not judged: as failures they give FAIL, as passes PASS"
        in check.sentence
    )


def test_clusters_count_once(case, policy):
    """Four hundred turns of four conversations are not four hundred cases."""
    turns = [case(n, conversation=f"c{n % 4}") for n in range(400)]

    assert "INCONCLUSIVE" == found(primary_checks(turns, policy()), "primary.outcome").outcome


def test_slices_warn_unless_they_are_named(case, policy):
    """A fall in a watched slice warns; in one that the policy named it fails."""
    cases = [case(n, candidate=FAILED if n % 2 and n < 60 else CALM) for n in range(400)]

    watched_slice = found(
        secondary_checks(cases, policy('[slices]\nwatch = ["scene"]')), "slice.scene=odd.outcome"
    )
    named = found(primary_checks(cases, policy('[slices]\nnamed = ["scene=odd"]')), "slice.scene=odd.outcome")

    assert (False, True) == (watched_slice.gates, watched_slice.warning)
    assert (True, "FAIL") == (named.gates, named.outcome)


def test_unscored_above_the_share_is_inconclusive(case, policy):
    """A scorer that failed on too many cases leaves no verdict; on a few it is told."""
    asked = policy(
        '[metrics]\nprimary = ["outcome", "write_set", "escalation", "answers", "calm"]', scorers=("calm",)
    )
    good = replace(CALM, scores={"calm": 1.0})
    bad = replace(CALM, scores={"calm": None}, unscored=frozenset({"calm"}))

    def outcome(failed):
        cases = [case(n, baseline=good, candidate=bad if n < failed else good) for n in range(200)]
        return found(primary_checks(cases, asked), "unscored.calm").outcome

    assert ("PASS", "INCONCLUSIVE") == (outcome(5), outcome(30))


def test_no_violation_says_its_bound(case, policy):
    """Three hundred conversations without a violation show less than 1 %."""
    checks = list(hard_checks(many(case, 300), NONE, policy()))

    assert (
        "No violation in 300 conversations: less than 0.99 % of them, with 95 % confidence."
        == found(checks, "hard.new_write").sentence
    )
    assert "PASS" == found(checks, "hard_bound").outcome


def test_too_few_conversations_say_how_many_more(case, policy):
    """The bound names what is missing."""
    bound = found(hard_checks(many(case, 200), NONE, policy()), "hard_bound")

    assert ("INCONCLUSIVE", 99) == (bound.outcome, bound.figures["missing"])
    assert "299 independent conversations: 99 more" in bound.sentence


def test_repeats_turns_and_equal_inputs_are_not_independent(case):
    """Turns of one conversation and cases with the same arguments count once; what was cut short does not count."""
    turns = [case(n, conversation="one") for n in range(5)]
    same = [replace(case(10 + n), same_as="the same") for n in range(5)]
    cut = [case(20, candidate=MISSED), case(21, candidate=replace(CALM, made_up=("simulated",)))]

    assert 2 == watched("new_write", [*turns, *same, *cut], 0.05).conversations


def test_a_violation_that_comes_back_fails(case, policy):
    """Run again, once of three is enough, and nobody can waive it."""
    cases = many(case, 10, 1, REFUND)
    check = found(
        hard_checks(cases, again(case, cases[:1], [CALM, REFUND, CALM]), policy()), "hard.new_write"
    )

    assert ("FAIL", False) == (check.outcome, check.waivable)
    assert "c0 turn 1" == check.examples[0].where


def test_a_violation_that_never_comes_back_is_flaky(case, policy):
    """It takes a person's signature for this very run."""
    cases = many(case, 10, 1, REFUND)
    check = found(hard_checks(cases, again(case, cases[:1], [CALM] * 3), policy()), "hard.new_write")
    waiver = Waiver("hard.new_write", "Jo", "looked at it", date(2027, 1, 1), "R")

    assert "INCONCLUSIVE" == check.outcome
    assert ["PASS"] == [c.counts for c in with_waivers([check], [waiver], "R", date(2026, 11, 23))]
    assert ["INCONCLUSIVE"] == [
        c.counts for c in with_waivers([check], [waiver], "other", date(2026, 11, 23))
    ]


def test_what_the_baseline_does_as_well_is_no_violation(case, policy):
    """A follow-up in which the baseline does it clears the candidate."""
    cases = many(case, 10, 1, REFUND)
    check = found(
        hard_checks(cases, again(case, cases[:1], [REFUND] * 3, baseline=REFUND), policy()), "hard.new_write"
    )

    assert ("PASS", True) == (check.outcome, check.warning)


def test_a_violation_that_was_not_run_again_is_not_known(case, policy):
    """Without a follow-up there is no verdict, and it says what to run."""
    check = found(hard_checks(many(case, 10, 1, REFUND), NONE, policy()), "hard.new_write")

    assert ("INCONCLUSIVE", "It may be violated in 1 case: nothing was to be run.") == (
        check.outcome,
        check.sentence,
    )


def manifest(cases, **more):
    listed = [[case.case_id] for case in cases]
    digest = digest_of([case.case_id for case in cases])
    return {"run_id": "R", "baseline": {"path": "shop:v1"}, "cases": listed, "cases_digest": digest, **more}


def outcomes(checks):
    return {check.id: check.outcome for check in checks if check.outcome != "PASS"}


def test_a_sound_run(case, policy):
    """A complete run with its own case list carries a verdict."""
    cases = many(case, 40)

    assert {} == outcomes(run_checks(manifest(cases), "complete", cases, policy()))


@pytest.mark.parametrize(
    ("status", "more", "name"),
    [
        ("interrupted", {}, "run.complete"),
        ("complete", {"baseline": None}, "run.complete"),
        ("complete", {"cases_digest": "0" * 64}, "run.cases"),
    ],
)
def test_an_unsound_run_is_inconclusive(case, policy, status, more, name):
    """What is not complete, has no baseline, or has another case list carries none, and none of it can be waived."""
    cases = many(case, 40)
    checks = list(run_checks(manifest(cases, **more), status, cases, policy()))

    assert {name: "INCONCLUSIVE"} == outcomes(checks)
    assert {False} == {check.waivable for check in checks}


def test_recordings_that_are_gone(case, policy):
    """A recording that was erased since leaves no verdict, with a sentence."""
    cases = [*many(case, 40), replace(case(99), lost="its content, or some of it, was erased or pruned")]
    check = found(run_checks(manifest(cases), "complete", cases, policy()), "run.recordings")

    assert "INCONCLUSIVE" == check.outcome
    assert "1 of 41 cases (2.4 %)" in check.sentence
    assert "erased or pruned" in check.sentence


def test_divergence(case, policy):
    """Too much of it, or more in one arm than in the other, is no verdict."""
    lopsided = many(case, 100, 12, MISSED)
    both = [case(n, baseline=MISSED, candidate=MISSED) if n < 30 else case(n) for n in range(100)]

    assert (
        "differs between the arms"
        in found(run_checks(manifest(lopsided), "complete", lopsided, policy()), "run.divergence").sentence
    )
    assert {"run.fidelity": "INCONCLUSIVE", "run.divergence": "INCONCLUSIVE"} == outcomes(
        run_checks(manifest(both), "complete", both, policy())
    )


def test_what_left_the_sandbox_never_passes(case, policy):
    """An invalid or simulated case leaves no verdict."""
    for run in (replace(CALM, status="invalid"), replace(CALM, made_up=("simulated",))):
        cases = [*many(case, 40), case(99, candidate=run)]
        assert (
            "INCONCLUSIVE"
            == found(run_checks(manifest(cases), "complete", cases, policy()), "run.sandbox").outcome
        )


def test_what_is_made_up_and_what_is_to_be_known_is_told(case, policy):
    """Answers that nobody gave to a call never gate, each kind by its name; live and stale ones count, and are told."""
    cases = [*many(case, 40), case(99, candidate=replace(CALM, made_up=(MADE_UP["recorded_error"],)))]
    check = found(run_checks(manifest(cases), "complete", cases, policy()), "run.sandbox")
    assert ("INCONCLUSIVE", True) == (check.outcome, "the error of another call (1)" in check.sentence)
    cases = [*many(case, 40), case(99, candidate=replace(CALM, marked=frozenset({"live", "other_epoch"})))]
    check = found(run_checks(manifest(cases), "complete", cases, policy()), "run.sandbox")
    assert ("PASS", True, {"live": 1, "other_epoch": 1}) == (
        check.outcome,
        check.warning,
        check.figures["marked"],
    )
    assert "In 1 case a read was answered as recorded with more or fewer writes before it." in check.sentence


@pytest.mark.parametrize(
    ("tier", "stale", "made_up", "marked"),
    [
        ("exact", False, (), set()),
        ("recorded_error", False, ("the error of another call",), set()),
        ("forked", False, ("what a model said when it was asked something else",), set()),
        ("simulated", False, ("simulated",), set()),
        ("live", False, (), {"live"}),
        ("exact", True, (), {"other_epoch"}),
    ],
)
def test_the_facts_of_an_execution_say_what_its_answers_were(tier, stale, made_up, marked):
    """Facts know by a call's tier and marks what kind of answer it got."""
    agent = Span(trace_id="0" * 32, span_id="1" * 16, turn_id="1" * 16, kind="agent")
    call = replace(
        agent,
        span_id="2" * 16,
        parent_span_id="1" * 16,
        kind="tool",
        effect="read",
        replay=Replay("r", "candidate", match_tier=tier),
        attributes={OTHER_EPOCH: True} if stale else {},
    )
    turn = Turn(agent, (agent, call))
    facts = execution(Trial("candidate", 0, turn), {})
    assert (made_up, marked) == (facts.made_up, facts.marked)


def test_conclusion():
    """FAIL outweighs INCONCLUSIVE, that outweighs PASS, and no check at all is INCONCLUSIVE."""

    def check(outcome, gates=True):
        return Check("x", "run", "x", outcome, "", gates=gates)

    assert "FAIL" == concluded([check("PASS"), check("INCONCLUSIVE"), check("FAIL")])
    assert "INCONCLUSIVE" == concluded([check("PASS"), check("INCONCLUSIVE")])
    assert "PASS" == concluded([check("PASS"), check("FAIL", gates=False)])
    assert "INCONCLUSIVE" == concluded([check("PASS", gates=False)])


def test_a_waiver_covers_what_was_not_shown_and_nothing_else():
    """Waivers cover INCONCLUSIVE, by id or its beginning, until they expire; what failed stays failed."""
    waiver = Waiver("adversarial", "Jo", "by hand", date(2026, 11, 23))
    checks = [
        Check("adversarial.llm", "governance", "", "INCONCLUSIVE", ""),
        Check("adversarial.mcp", "governance", "", "FAIL", ""),
        Check("adversarialness", "governance", "", "INCONCLUSIVE", ""),
    ]

    assert ["PASS", "FAIL", "INCONCLUSIVE"] == [
        c.counts for c in with_waivers(checks, [waiver], "R", date(2026, 11, 23))
    ]
    assert "INCONCLUSIVE" == with_waivers(checks, [waiver], "R", date(2026, 11, 24))[0].counts
