"""What was not seen is in nobody's favour: unknown, unscored, missing, thinned out, hidden in a mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import RunError
from replay.gate.facts import Facts, with_answers_compared
from replay.gate.grounding import grounded_check
from replay.gate.integrity import run_checks
from replay.gate.judge import _refuse
from replay.gate.measured import Pairs, every_time
from replay.gate.metrics import pair_of, unscored
from replay.gate.quality import primary_checks
from replay.gate.scoring import demoted_checks
from replay.gate.searched import secondary_checks

CALM = Facts("candidate", 0, "complete", answer="a", unlike=1.0)
FAILED = replace(CALM, status="errored", failed=True)
MISSED = replace(CALM, status="diverged", answer="")
GOOD, BAD = replace(CALM, scores={"q": 1.0}), replace(CALM, scores={"q": 0.0}, labels={"q": "new email"})
SILENT = replace(CALM, scores={"q": None})


def found(checks, name):
    return next(check for check in checks if check.id == name)


def asked(policy, **more):
    return replace(policy(), **more)


# What a scorer did not judge


def test_a_candidate_does_not_choose_what_it_is_judged_by(case, policy):
    """Where the candidate is unscored and the baseline is not, nothing is shown, however well the rest goes."""
    cases = [case(n, baseline=GOOD, candidate=SILENT if n < 200 else GOOD) for n in range(320)]
    checks = list(primary_checks(cases, asked(policy, primary=("q",))))

    assert "INCONCLUSIVE" == found(checks, "primary.q").outcome
    assert ("INCONCLUSIVE", 200) == (
        found(checks, "unscored.q").outcome,
        found(checks, "unscored.q").figures["unscored"],
    )


def test_a_few_left_out_by_the_candidate_are_counted_against_it(case, policy):
    """Five in a hundred that the candidate left unscored are more than a margin of three points."""
    cases = [case(n, baseline=GOOD, candidate=SILENT if n < 16 else GOOD) for n in range(320)]
    check = found(primary_checks(cases, asked(policy, primary=("q",))), "primary.q")

    assert ("INCONCLUSIVE", 320, 16) == (check.outcome, check.figures["n"], check.figures["unknown"])


def test_what_no_side_is_about_is_left_out(case):
    """A case of which a scorer has nothing to say on either side is neither unknown nor unscored."""
    silent = case(baseline=SILENT, candidate=SILENT)

    assert (None, False) == (pair_of("q", silent), unscored("q", silent))
    assert unscored("q", case(baseline=GOOD, candidate=SILENT))
    assert unscored("q", case(baseline=GOOD, candidate=CALM))


def test_a_scorer_that_did_not_run_is_a_check_of_its_own(case, policy):
    """It cannot be waived; a secondary one only informs."""
    cases = [case(n) for n in range(300)]
    judged = asked(policy, primary=("outcome", "q"), secondary=("r",))
    checks = list(primary_checks(cases, judged, {"q": "no such module.", "r": "it judges whole arms."}))
    primary, secondary = found(checks, "unscored.q"), found(checks, "unscored.r")

    assert ("INCONCLUSIVE", True, False) == (primary.outcome, primary.gates, primary.waivable)
    assert "no such module." in primary.sentence
    assert not secondary.gates


def test_a_judge_that_decides_nothing_leaves_its_place_open(policy):
    """What a demoted judge was asked for is INCONCLUSIVE, and does not vanish."""
    checks = list(demoted_checks(asked(policy, hard=("j",), primary=("k", "outcome")), ("j", "k")))

    assert [("hard.j", "INCONCLUSIVE"), ("primary.k", "INCONCLUSIVE")] == [(c.id, c.outcome) for c in checks]


def test_answers_that_were_not_judged_are_not_grounded(case, policy):
    """A scorer that failed on most answers shows nothing of the others."""
    right, failed = (
        replace(CALM, scores={"grounded": value}, unscored=frozenset(names))
        for value, names in ((1.0, ()), (None, ("grounded",)))
    )
    some = [case(n, candidate=right if n < 60 else failed) for n in range(1_000)]
    every = [case(n, candidate=right) for n in range(100)]

    assert "INCONCLUSIVE" == grounded_check(some, policy()).outcome
    assert "PASS" == grounded_check(every, policy()).outcome


# What was not served to its end


def test_two_unknowns_do_not_agree(case):
    """Both arms stopped before a write or a hand-over: nothing is known, and the case is none."""
    both = case(baseline=MISSED, candidate=MISSED)

    for metric in ("outcome", "write_set", "escalation", "trajectory", "answers"):
        assert pair_of(metric, both).silent, metric
    measured = Pairs([both] * 100).measured("escalation")
    assert (0, 100) == (measured.n, measured.silent)


def test_cases_that_stopped_on_both_sides_narrow_nothing(case, policy):
    """A fifth of silent cases is not counted among those that agree."""
    cases = [case(n, baseline=MISSED, candidate=MISSED) if n < 60 else case(n) for n in range(400)]
    check = found(primary_checks(cases, policy()), "primary.escalation")

    assert (340, 60, 0) == (check.figures["n"], check.figures["silent"], check.figures["unknown"])


def test_more_unknown_in_one_arm_is_no_ground(case, policy):
    """Thirty cases that only the candidate left open leave no verdict, even where each answer would pass."""
    checks = primary_checks(
        [
            case(n, baseline=FAILED, candidate=replace(MISSED, failed=False) if n < 30 else FAILED)
            for n in range(1_000)
        ],
        asked(policy, margins={"outcome": 0.5}),
    )
    check = found(checks, "primary.outcome")

    assert "INCONCLUSIVE" == check.outcome
    assert "0 in the baseline alone, 30 in the candidate alone" in check.sentence


# Slices, and several tests


@pytest.mark.parametrize(("bad", "outcome"), [(1, "INCONCLUSIVE"), (3, "INCONCLUSIVE"), (8, "FAIL")])
def test_a_named_slice_does_not_pass_for_want_of_cases(case, policy, bad, outcome):
    """Three of thirty broken turns show no fall, and no absence of one; too few cases say how many it takes."""
    cases = [
        replace(
            case(n, candidate=FAILED if n < bad else CALM), tags={"scene": "refund" if n < 30 else "other"}
        )
        for n in range(400)
    ]
    named = policy('[slices]\nnamed = ["scene=refund"]')
    checks = [check for check in primary_checks(cases, named) if check.id == "slice.scene=refund.outcome"]

    assert [(outcome, True)] == [(check.outcome, check.gates) for check in checks]


def test_watching_thins_out_nothing_that_is_named(case, policy):
    """A hundred and fifty quiet values that are watched leave a named slice as it is."""
    cases = [
        replace(
            case(n, candidate=FAILED if n < 8 else CALM),
            tags={"scene": "refund" if n < 100 else "other", "w": str(n % 12)},
        )
        for n in range(400)
    ]
    alone, beside = (
        found(primary_checks(cases, policy(lines)), "slice.scene=refund.outcome").outcome
        for lines in (
            '[slices]\nnamed = ["scene=refund"]',
            '[slices]\nnamed = ["scene=refund"]\nwatch = ["w"]',
        )
    )

    assert "FAIL" == alone == beside
    assert [] == [
        c for c in secondary_checks(cases, policy('[slices]\nnamed = ["scene=refund"]')) if c.group == "slice"
    ]


def test_one_fall_among_many_tests_is_not_shown(case, policy):
    """Six flips for the worse fail alone, and not as one of eight tests."""
    cases = [
        replace(case(n, candidate=FAILED if n < 6 else CALM), tags={"scene": str(n % 3)}) for n in range(130)
    ]
    alone = asked(policy, primary=("outcome",))
    many = asked(
        policy, primary=("outcome", "escalation", "write_set", "answers"), named_slices=("scene=0", "scene=1")
    )
    one, among = (found(primary_checks(cases, each), "primary.outcome") for each in (alone, many))

    assert ("FAIL", "INCONCLUSIVE") == (one.outcome, among.outcome)
    assert "but one of 12 that are tested together" in among.sentence


# Answers


def test_the_same_to_everybody_is_no_answer(case, policy, judged):
    """An agent that says hello to all customers falls, and one that says nothing as well; other words do not."""

    def judged(candidate):
        cases = [
            case(n, baseline=replace(CALM, answer=f"b{n}"), candidate=replace(CALM, answer=candidate(n)))
            for n in range(300)
        ]
        return found(primary_checks(with_answers_compared(cases), policy()), "primary.answers").outcome

    assert ["FAIL", "FAIL", "PASS"] == [
        judged(answer) for answer in (lambda _: "hello", lambda _: "", lambda n: f"c{n}")
    ]


# The run


@pytest.fixture
def judged(manifest):
    def make(cases, policy, **more):
        checks = run_checks(manifest(cases, **more), "complete", cases, policy)
        return {check.id: check.outcome for check in checks if check.outcome != "PASS"}

    return make


def test_executions_that_are_not_there_any_more(case, policy, judged):
    """A run that says it is complete, and lacks an execution of one case, carries no verdict."""
    whole = [case(n) for n in range(40)]
    first, *rest = whole
    lacking = {
        "no candidate": replace(first, runs=first.baselines),
        "no baseline": replace(first, runs=first.candidates),
        "no second baseline": replace(first, sampled=True, runs=(*first.of("baseline"), *first.candidates)),
    }

    assert {} == judged(whole, policy())
    for case_of, one in lacking.items():
        assert {"run.complete": "INCONCLUSIVE"} == judged([one, *rest], policy()), case_of
    assert {"run.complete": "INCONCLUSIVE"} == judged(whole, policy(), repeats=2)


def test_a_version_beside_itself_shows_nothing(case, policy, manifest):
    """Equal digests are INCONCLUSIVE from level 2 on, and a person can sign for it."""
    cases = [case(n) for n in range(40)]
    same = {"candidate": {"path": "shop:v1", "digest": "b"}}
    check = found(run_checks(manifest(cases, **same), "complete", cases, policy()), "same_version")
    low = found(run_checks(manifest(cases, **same), "complete", cases, policy(level=1)), "same_version")

    assert ("INCONCLUSIVE", True, True) == (check.outcome, check.gates, check.waivable)
    assert (False, True) == (low.gates, low.warning)


@pytest.mark.parametrize("kind", ["control", "fork", "verify", "compare"])
def test_runs_without_a_candidate_are_refused(kind):
    """Noise, forks, tests of the harness and comparisons of recordings are nothing to judge a release by."""
    with pytest.raises(RunError, match="Replay|compares"):
        _refuse({"run_id": "R", "kind": kind})


def test_a_baseline_that_is_not_what_was_recorded(case, policy, judged):
    """A baseline that does something else than the recording, and the same as itself, is another version."""

    def run(calls):
        return replace(CALM, calls=calls)

    def cases(recorded, second):
        return [
            replace(case(n, baseline=run(("a",)), baseline_2=run(second)), recorded=run(recorded))
            for n in range(100)
        ]

    assert {} == judged(cases(("a",), ("a",)), policy())
    assert {"run.fidelity": "INCONCLUSIVE"} == judged(cases(("b",), ("a",)), policy())
    assert {} == judged(cases(("b",), ("c",)), policy())


def test_a_baseline_may_fail_where_the_recording_failed(case, policy, judged, manifest):
    """Errors that were recorded are always drawn, and come again: the baseline is faithful there."""
    failing = [replace(case(n, baseline=FAILED), recorded=replace(FAILED, arm="recorded")) for n in range(40)]
    sound = [replace(case(40 + n), weight=10.0, recorded=replace(CALM, arm="recorded")) for n in range(60)]
    unfaithful = [replace(one, recorded=replace(CALM, arm="recorded")) for one in failing]

    assert {} == judged([*failing, *sound], policy())
    assert (
        0.0625
        == found(
            run_checks(manifest([*unfaithful, *sound]), "complete", [*unfaithful, *sound], policy()),
            "run.fidelity",
        ).figures["share"]
    )


def test_a_sample_that_lost_the_traffic(case, policy, judged, manifest):
    """Groups of turns without a case stand for nobody; the oldest turns are said to be those."""
    cases = [replace(case(n), weight=2.0) for n in range(40)]

    assert {} == judged(cases, policy(), sampling={"turns": 80})
    assert {"run.sample": "INCONCLUSIVE"} == judged(cases, policy(), sampling={"turns": 3_000})
    oldest = run_checks(manifest(cases, limit=40), "complete", cases, policy())
    assert "the oldest ones" in found(oldest, "run.sample").sentence


def test_live_writes_and_overrides_that_reached_nothing(case, policy, judged, manifest):
    """An arm that met what the other had written, and a prompt that was never asked for, show nothing."""
    cases = [case(n) for n in range(40)]
    missed = run_checks(
        manifest(cases), "complete", cases, policy(), ["The candidate never asked for the prompt 'p'."]
    )

    assert {"run.sandbox": "INCONCLUSIVE"} == judged(cases, policy(), modes={"writes": "live"})
    assert "never asked for the prompt" in found(missed, "run.overrides").sentence


# Repeats


def test_each_repeat_counts_beside_the_mean(case, policy):
    """Ninety per cent of all repeats may be half of the customers who come back."""
    flaky = [
        replace(
            case(n),
            runs=tuple(
                replace(
                    FAILED if arm == "candidate" and repeat == n % 2 * 2 else CALM, arm=arm, repeat=repeat
                )
                for arm in ("baseline", "candidate")
                for repeat in range(3)
            ),
        )
        for n in range(40)
    ]
    k, old, new = every_time("outcome", flaky)

    assert (3, 1.0, 0.0) == (k, old, new)
    assert (
        "each of 3 repeats 100.0 % → 0.0 %"
        in found(primary_checks(flaky, policy()), "primary.outcome").sentence
    )
    assert every_time("outcome", [case(n) for n in range(3)]) is None


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(["complete", "diverged", "blocked"]), min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_knowing_less_never_turns_into_a_pass(case, policy, statuses, escalated, failed):
    """Whatever a side did, cutting the candidate short everywhere never gives PASS where it was none."""

    def run(status, arm):
        return replace(
            CALM, arm=arm, status=status, escalated=escalated, failed=failed and status == "complete"
        )

    old = [run("complete", "baseline"), run(statuses[0], "baseline_2"), run("complete", "candidate")]
    new = [old[0], old[1], run("diverged", "candidate")]

    def outcomes(runs):
        cases = [replace(case(n), runs=tuple(runs)) for n in range(100)]
        return {check.id: check.outcome for check in primary_checks(cases, policy())}

    before, after = outcomes(old), outcomes(new)
    assert [] == [name for name, outcome in after.items() if outcome == "PASS" != before[name]]
