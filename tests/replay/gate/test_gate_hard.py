"""What customers must never meet, and whether they reach a person when they should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.gate.confirm import _merged
from replay.gate.facts import Facts, Write
from replay.gate.handovers import escalation_check
from replay.gate.hard import Confirmation, hard_checks, suspects
from replay.gate.levels import levels
from replay.gate.metrics import violations
from replay.gate.quality import primary_checks
from replay.gate.watched import watched
from replay.stats import required_n

CALM = Facts("candidate", 0, "complete", answer="a", unlike=1.0)
FAILED = replace(CALM, status="errored", failed=True)
MISSED = replace(CALM, status="diverged", answer="")
HANDED = replace(CALM, escalated=True, reached=True)
GOOD, BAD = replace(CALM, scores={"q": 1.0}), replace(CALM, scores={"q": 0.0}, labels={"q": "new email"})
SILENT = replace(CALM, scores={"q": None})
WROTE = replace(CALM, writes=(Write("issue_refund"),))
NONE = Confirmation(None, {}, "nothing was to be run.")


def found(checks, name):
    return next(check for check in checks if check.id == name)


def asked(policy, **more):
    return replace(policy(), **more)


# Hard metrics


def test_the_bound_is_on_what_customers_meet(case, policy):
    """A candidate that leaks as often as the baseline does violates as often, and the bound says so."""
    leaks = [
        case(n, baseline=BAD, candidate=BAD) if n < 100 else case(n, baseline=GOOD, candidate=GOOD)
        for n in range(320)
    ]
    checks = list(hard_checks(leaks, NONE, asked(policy, hard=("q",))))

    assert ("PASS", True) == (found(checks, "hard.q").outcome, found(checks, "hard.q").warning)
    assert ("FAIL", 100, False) == (
        found(checks, "hard_bound").outcome,
        found(checks, "hard_bound").figures["violating"],
        found(checks, "hard_bound").waivable,
    )


def test_one_violation_takes_more_conversations(case, policy):
    """With one in 320 a bound of 1 % is not shown, and 473 would."""
    cases = [case(n, baseline=BAD if n < 1 else GOOD, candidate=BAD if n < 1 else GOOD) for n in range(320)]
    bound = found(hard_checks(cases, NONE, asked(policy, hard=("q",))), "hard_bound")

    assert ("INCONCLUSIVE", 473, 153) == (bound.outcome, bound.figures["needed"], bound.figures["missing"])


def test_a_leak_of_the_baseline_excuses_no_other(case):
    """A baseline that leaks an address excuses neither a card number nor a worse score."""
    card = replace(CALM, scores={"q": 0.0}, labels={"q": "new card"}, evidence={"q": "new card: 1"})
    slight = replace(CALM, scores={"q": 0.5}, labels={"q": "new email"})

    assert ["new card: 1"] == violations("q", case(baseline=BAD, candidate=card))
    assert ["scores 0"] == violations("q", case(baseline=slight, candidate=BAD))
    assert [] == violations("q", case(baseline=BAD, candidate=BAD))


def test_a_leak_of_the_baseline_excuses_as_much_and_no_more(case):
    """One address excuses neither two of them nor an account beside it; more than the candidate leaks excuses it."""

    def leaks(label):
        return replace(CALM, scores={"q": 0.0}, labels={"q": label}, evidence={"q": label})

    one, all_three = leaks("new email"), leaks("new email ×2, new iban, new phone")

    assert [all_three.labels["q"]] == violations("q", case(baseline=one, candidate=all_three))
    assert ["new email ×2"] == violations("q", case(baseline=one, candidate=leaks("new email ×2")))
    assert [] == violations("q", case(baseline=all_three, candidate=leaks("new iban")))
    assert [] == violations("q", case(baseline=all_three, candidate=all_three))


def test_what_the_baseline_does_now_and_then_the_candidate_may_not_do_always(case, policy):
    """Always against once in three reruns, in thirty cases, is no shared violation."""
    cases = [case(n, baseline=GOOD, candidate=BAD) for n in range(30)]
    again = {}
    for one in cases:
        runs = (
            *(replace(run, arm="baseline", repeat=n) for n, run in enumerate((BAD, GOOD, GOOD))),
            *(replace(BAD, arm="candidate", repeat=n) for n in range(3)),
        )
        again[one.span_id] = replace(one, runs=runs)
    check = found(hard_checks(cases, Confirmation("R-again1", again), asked(policy, hard=("q",))), "hard.q")

    assert ("FAIL", 30) == (check.outcome, check.figures["shared"])
    assert "in 33.3 % of its runs, and the candidate in 100.0 %" in check.sentence


def test_a_conversation_was_watched_as_a_whole(case):
    """One served turn of ten does not make a watched conversation, nor does an error; a scorer has to have looked."""
    mostly = [case(n, conversation="c", candidate=CALM if n == 0 else MISSED) for n in range(10)]
    errored, unasked = case(20, candidate=FAILED), case(30, baseline=GOOD, candidate=CALM)

    assert [0, 0, 0] == [watched("new_write", mostly, 0.05).conversations, watched("new_write", [errored], 0.05).conversations,
                         watched("q", [unasked], 0.05).conversations]  # fmt: skip
    assert 1 == watched("q", [case(31, baseline=GOOD, candidate=GOOD)], 0.05).conversations


def test_rare_strata_do_not_stand_for_the_traffic(case, policy):
    """Two hundred and seventy ordinary turns and as many rare ones are worth 275 conversations, and not 540."""
    cases = [replace(case(n), weight=100.0 if n < 270 else 1.0) for n in range(540)]
    counted = watched("new_write", cases, 0.05)
    bound = found(hard_checks(cases, NONE, policy()), "hard_bound")

    assert (540, 275) == (counted.conversations, counted.worth)
    assert "INCONCLUSIVE" == bound.outcome


def test_a_hard_scorer_that_could_not_read_the_candidate_is_open_from_the_first_execution_on(case, policy):
    """One execution that it failed on, or is silent of where it judges the baseline, leaves no PASS; a person may sign."""
    wanted = asked(policy, hard=("q",))
    fine = [case(n, baseline=GOOD, candidate=GOOD) for n in range(320)]
    padded = replace(CALM, scores={"q": None}, unscored=frozenset({"q"}))

    def judged(baseline, candidate):
        cases = [*fine, case(400, baseline=baseline, candidate=candidate)]
        check = found(hard_checks(cases, NONE, wanted), "hard.q")
        return check.outcome, check.figures["unread"]

    assert ("INCONCLUSIVE", 1) == judged(GOOD, padded) == judged(GOOD, SILENT)
    assert ("PASS", 0) == judged(GOOD, GOOD) == judged(SILENT, SILENT)


@pytest.mark.parametrize(
    ("old", "outcome", "violating"),
    [((WROTE, CALM, CALM), "INCONCLUSIVE", 4), ((WROTE, WROTE, WROTE), "PASS", 0)],
)
def test_more_often_and_not_shown_to_be_so_is_open(case, policy, old, outcome, violating):
    """The candidate always and the baseline now and then, in four conversations, is no PASS, and counts for the bound."""
    cases = [case(n, candidate=WROTE) if n < 4 else case(n) for n in range(400)]
    again = {}
    for one in cases[:4]:
        runs = (
            *(replace(run, arm="baseline", repeat=n) for n, run in enumerate(old)),
            *(replace(WROTE, arm="candidate", repeat=n) for n in range(3)),
        )
        again[one.span_id] = replace(one, runs=runs)
    check = found(
        hard_checks(cases, Confirmation("R-again1", again), asked(policy, hard=("new_write",))),
        "hard.new_write",
    )

    assert (outcome, outcome == "INCONCLUSIVE", violating) == (
        check.outcome,
        check.waivable,
        check.figures["violating"],
    )


def test_the_next_suspects_are_run_again_until_one_decides(case, policy):
    """Thirty at a time; what a follow-up holds is not run again, and after one that came back nothing is."""
    wanted = asked(policy, hard=("new_write",))
    cases = [case(n, candidate=WROTE) for n in range(45)]

    def rerun(number, run):
        return {
            one.span_id: replace(
                one,
                runs=tuple(
                    replace(did, arm=arm, repeat=n)
                    for arm, did in (("baseline", CALM), ("candidate", run))
                    for n in range(3)
                ),
            )
            for one in cases[:number]
        }

    first = suspects(cases, wanted)
    next_ones = suspects(cases, wanted, Confirmation("R-again1", rerun(30, CALM)))
    check = found(hard_checks(cases, Confirmation("R-again1", rerun(30, CALM)), wanted), "hard.new_write")

    assert [cases[:30], cases[30:]] == [first, next_ones]
    assert [] == suspects(cases, wanted, Confirmation("R-again1", rerun(30, WROTE)))
    assert "30 of them were run again (run R-again1), 15 were not. Judge it again" in check.sentence
    assert cases[30].case_id == check.examples[0].case_id


def test_follow_ups_count_together(case):
    """Cases of several follow-ups stand side by side, and a case of two of them has the executions of both."""
    one, other = case(1), case(2)
    again = _merged([("R-again2", [other]), ("R-again1", [one, other])])

    assert "R-again2, R-again1" == again.run_id
    assert [1, 2] == [len(again.cases[each.span_id].candidates) for each in (one, other)]


def test_a_policy_without_hard_metrics_shows_no_bound(case, policy):
    """That a level's hard metrics are waived leaves its bound to be shown."""
    (check,) = hard_checks([case(n) for n in range(400)], NONE, asked(policy, hard=()))

    assert ("hard_bound", "INCONCLUSIVE") == (check.id, check.outcome)


# Hand-overs


@pytest.mark.parametrize(
    ("handed", "kept", "outcome"),
    [
        (20, 10, "FAIL"), (1, 1, "INCONCLUSIVE"), (8, 8, "INCONCLUSIVE"), (40, 40, "PASS"), (40, 37, "PASS"), (40, 34, "FAIL"),
    ],
)  # fmt: skip
def test_hand_overs_are_judged_by_themselves(case, policy, handed, kept, outcome):
    """In fifteen hundred cases twenty hand-overs are lost in the mean; among themselves they are not."""
    cases = [
        case(n, baseline=HANDED if n < handed else CALM, candidate=HANDED if n < kept else CALM)
        for n in range(1_500)
    ]
    shown = list(primary_checks(cases, policy()))

    assert "PASS" == found(shown, "primary.escalation").outcome
    assert outcome == escalation_check(cases, policy(), shown).outcome


@pytest.mark.parametrize(("level", "cases"), [(3, 30), (4, 300)])
def test_the_margin_of_hand_overs_is_what_power_leaves(level, cases):
    """It is the smallest one, in whole points, that so many hand-overs of a median agent find four times in five."""
    asked = levels()[level].escalation
    assert asked is not None
    assert required_n(0.167, asked) <= cases < required_n(0.167, asked - 0.01)


def test_a_hand_over_that_failed_reached_nobody(case, policy):
    """A candidate whose hand-overs fail or are never served keeps none."""
    tried = replace(CALM, escalated=True, reached=False)
    cases = [case(n, baseline=HANDED, candidate=tried) for n in range(60)]
    check = escalation_check(cases, policy(), list(primary_checks(cases, policy())))

    assert ("FAIL", 0) == (check.outcome, check.figures["kept"])


def test_a_baseline_that_hands_over_by_chance_is_no_yardstick(case, policy):
    """Where the baseline keeps half of its own hand-overs, a candidate that keeps half loses none."""
    cases = []
    for n in range(400):
        old, second, new = (HANDED if n >> bit & 1 else CALM for bit in range(3))
        cases.append(case(n, baseline=old, baseline_2=second, candidate=new))
    check = escalation_check(cases, policy(), [])

    assert (
        -0.01
        < escalation_check(cases, policy(), list(primary_checks(cases, policy()))).figures["delta"]
        < 0.01
    )
    assert "INCONCLUSIVE" == check.outcome
