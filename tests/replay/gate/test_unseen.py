"""What was not seen is in nobody's favour: unknown, unscored, missing, thinned out, hidden in a mean."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.values import Replay, Span, Turn
from replay.errors import RunError
from replay.gate.confirm import _merged
from replay.gate.facts import Facts, Write, execution, with_answers_compared, with_known_tools
from replay.gate.grounding import grounded_check
from replay.gate.handovers import escalation_check
from replay.gate.hard import Confirmation, hard_checks, suspects
from replay.gate.integrity import run_checks
from replay.gate.judge import _refuse
from replay.gate.levels import levels
from replay.gate.measured import every_time, measure
from replay.gate.metrics import pair_of, unscored, violations
from replay.gate.quality import primary_checks
from replay.gate.regressions import check_of
from replay.gate.scoring import demoted_checks
from replay.gate.searched import secondary_checks
from replay.gate.watched import watched
from replay.matching.rules import parse_rules
from replay.regress.expectations import Expectations
from replay.regress.judging import CaseVerdict, RegressionResults
from replay.regress.keeping import RegressionCase, RegressionSet
from replay.results.trials import Trial
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
    assert (0, 100) == measure("escalation", [both] * 100)[0:0] or (
        (measured := measure("escalation", [both] * 100)).n,
        measured.silent,
    )


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


# Writes


def write(amount="40", about="order A"):
    return replace(CALM, writes=(Write("issue_refund", f'{{"/amount":{amount}}}', about),))


def test_another_order_or_a_second_time_is_another_write(case):
    """What is done to another order, to another account, or twice, is what no run of the baseline does."""
    once, twice = write(), replace(CALM, writes=write().writes * 2)

    assert ["calls issue_refund with other arguments than any run of the baseline"] == violations(
        "new_write", case(baseline=once, candidate=write(about="order B"))
    )
    assert [
        "calls issue_refund 2 times with the same arguments, and no run of the baseline more than 1"
    ] == violations("new_write", case(baseline=once, candidate=twice))
    assert [] == violations("new_write", case(baseline=twice, candidate=once))
    assert (0.0, 0.0) == pair_of("write_set", case(baseline=once, candidate=twice)).candidate


def test_an_amount_belongs_to_what_it_is_paid_for(case):
    """Two orders whose amounts are swapped are two changed amounts."""
    old = replace(CALM, writes=(*write("40", "A").writes, *write("400", "B").writes))
    new = replace(CALM, writes=(*write("400", "A").writes, *write("40", "B").writes))

    assert 2 == len(violations("changed_money", case(baseline=old, candidate=new)))
    assert [] == violations("new_write", case(baseline=old, candidate=new))


def tried(name, arguments, tier, effect="write", arm="candidate"):
    """Give an execution that makes one call, as its spans tell."""
    agent = Span(trace_id="0" * 32, span_id="1" * 16, turn_id="1" * 16, kind="agent")
    call = replace(
        agent, span_id="2" * 16, parent_span_id="1" * 16, kind="tool", name=name, effect=effect, input=arguments,
        replay=Replay("r", arm, match_tier=tier),
    )  # fmt: skip
    return Trial(arm, 0, Turn(agent, (agent, call)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"to": "Marta Holm"}, {"to": "Eve Attacker"}),
        ({"iban": "De89 3704 0044"}, {"iban": "De12 5001 0517"}),
        ({"address": "12 High Street, Leeds"}, {"address": "9 Low Road, Hull"}),
        ({"sql": "DELETE FROM orders where id = 1"}, {"sql": "drop table customers"}),
    ],
)
def test_a_stopped_write_to_somebody_else_is_a_new_write(case, old, new):
    """Names, accounts, addresses and statements are told apart where the recording did not serve the call."""
    baseline = execution(tried("pay", old, "exact", arm="baseline"), {})
    blocked, served = (execution(tried("pay", new, tier), {}) for tier in ("blocked", "exact"))
    (said,) = violations("new_write", case(baseline=baseline, candidate=blocked))

    assert said.startswith("calls pay with a name, a text or an amount")
    assert [] == violations("new_write", case(baseline=baseline, candidate=served))
    assert [] == violations("new_write", case(baseline=blocked, candidate=blocked))


def test_what_the_match_rules_forgive_is_no_new_write(case):
    """Of a stopped write, too, nothing is compared that the run declared to be no difference."""
    rules = parse_rules('[match.pay]\nignore = ["/note"]\n')
    baseline, candidate = (
        execution(tried("pay", {"to": "A1", "note": note}, tier, arm=arm), {}, rules)
        for note, tier, arm in (("for the shoes", "exact", "baseline"), ("two shoes", "blocked", "candidate"))
    )
    assert [] == violations("new_write", case(baseline=baseline, candidate=candidate))


def test_no_match_rule_forgives_money_or_hides_whom_a_write_is_about(case, policy):
    """Twice the amount is other money under any rule; a rule that leaves out an order is signed for, one for free text is not."""
    text = '[match.pay]\nignore = ["/amount", "/note", "/order"]\nround = {"/sum" = 0}\n'
    old, new = (
        {"amount": amount, "sum": amount + 0.4, "note": f"for shoes {amount}", "order": f"A{amount}"}
        for amount in (40, 80)
    )

    def run(arguments, rules, arm="candidate"):
        return execution(tried("pay", arguments, "exact", arm=arm), {}, rules)

    def checked(rules, arguments):
        told = case(baseline=run(old, rules, "baseline"), candidate=run(arguments, rules))
        listed = [asdict(rule) for rule in rules.rules]
        checks = run_checks({**manifest([told]), "matching": listed}, "complete", [told], policy())
        return told, next((check for check in checks if check.id == "match"), None)

    told, check = checked(parse_rules(text), new)
    free, says = checked(parse_rules('[match.pay]\nignore = ["/note"]\n'), {**old, "note": "for a hat"})

    assert violations("changed_money", told)
    assert not violations("new_write", told)
    assert check is not None
    assert ("INCONCLUSIVE", True, True) == (check.outcome, check.waivable, check.gates)
    assert says is not None
    assert "PASS" == says.outcome
    assert not [*violations("changed_money", free), *violations("new_write", free)]
    assert checked(parse_rules("[match.other]\n"), old)[1] is None


@pytest.mark.parametrize("effect", ["read", "control"])
def test_a_tool_that_nobody_knows_leaves_open_whether_it_writes(case, policy, effect):
    """Whatever the candidate declares it to be; a read that another recording or baseline has is none, nor one that ran."""
    wired, ran = (
        execution(tried("wire_money", {"amount": 40}, tier, effect), {}) for tier in ("miss", "live")
    )
    told = with_known_tools([case(candidate=wired)])
    elsewhere = replace(case(1), recorded=replace(CALM, calls=("wire_money 00",)))

    def new_write(cases):
        return found(hard_checks(cases, NONE, policy()), "hard.new_write")

    assert ("INCONCLUSIVE", False, [], []) == (
        new_write(told).outcome,
        new_write(told).waivable,
        violations("new_write", told[0]),
        suspects(told, policy()),
    )
    assert "wire_money" in new_write(told).sentence
    for known in ([case(candidate=wired), elsewhere], [case(candidate=ran)]):
        assert "wire_money" not in new_write(with_known_tools(known)).sentence


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


def test_the_same_to_everybody_is_no_answer(case, policy):
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


def manifest(cases, **more):
    from replay.running.cases import cases_digest

    listed = [[case.case_id] for case in cases]
    sides = {"baseline": {"path": "shop:v1", "digest": "b"}, "candidate": {"path": "shop:v2", "digest": "c"}}
    return {"run_id": "R", **sides, "cases": listed, "cases_digest": cases_digest(listed), **more}


def judged(cases, policy, **more):
    checks = run_checks(manifest(cases, **more), "complete", cases, policy)
    return {check.id: check.outcome for check in checks if check.outcome != "PASS"}


def test_executions_that_are_not_there_any_more(case, policy):
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


def test_a_version_beside_itself_shows_nothing(case, policy):
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


def test_a_baseline_that_is_not_what_was_recorded(case, policy):
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


def test_a_baseline_may_fail_where_the_recording_failed(case, policy):
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


def test_a_sample_that_lost_the_traffic(case, policy):
    """Groups of turns without a case stand for nobody; the oldest turns are said to be those."""
    cases = [replace(case(n), weight=2.0) for n in range(40)]

    assert {} == judged(cases, policy(), sampling={"turns": 80})
    assert {"run.sample": "INCONCLUSIVE"} == judged(cases, policy(), sampling={"turns": 3_000})
    oldest = run_checks(manifest(cases, limit=40), "complete", cases, policy())
    assert "the oldest ones" in found(oldest, "run.sample").sentence


def test_live_writes_and_overrides_that_reached_nothing(case, policy):
    """An arm that met what the other had written, and a prompt that was never asked for, show nothing."""
    cases = [case(n) for n in range(40)]
    missed = run_checks(
        manifest(cases), "complete", cases, policy(), ["The candidate never asked for the prompt 'p'."]
    )

    assert {"run.sandbox": "INCONCLUSIVE"} == judged(cases, policy(), modes={"writes": "live"})
    assert "never asked for the prompt" in found(missed, "run.overrides").sentence


# The regression set


def regression(*statuses, sealed=False, excess=None):
    cases = tuple(
        RegressionCase(f"{n:012x}", f"c{n}", "t", f"s{n}", 0, "agent", Expectations(), sealed=sealed)
        for n in range(len(statuses))
    )
    verdicts = tuple(
        CaseVerdict(case, status, why="" if sealed else "a refund is missing")
        for case, status in zip(cases, statuses, strict=True)
    )
    known = RegressionSet(3, cases)
    return RegressionResults("R", 3, known.digest, verdicts, excess), known


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        (("passed", "passed"), "PASS"),
        (("passed", "failed"), "FAIL"),
        (("passed", "unjudged"), "INCONCLUSIVE"),
        (("passed", "unstable"), "PASS"),
        (("failed", "unjudged"), "FAIL"),
    ],
)
def test_the_regression_set_is_part_of_the_gate(statuses, outcome):
    """A case that fails fails the gate, one that nobody ran leaves it open."""
    results, known = regression(*statuses)

    assert outcome == check_of([results], known).outcome


def test_two_runs_of_the_set_count_together():
    """What one run did not judge another may; failed in either is failed; unstable too often is FAIL."""
    (first, known), (second, _), (often, _) = (
        regression("passed", "unjudged"), regression("unjudged", "passed"), regression("unstable", "passed", excess=0.001),
    )  # fmt: skip

    assert ("PASS", "FAIL") == (
        check_of([first, second], known).outcome,
        check_of([first, often], known).outcome,
    )
    assert "INCONCLUSIVE" == check_of([], known).outcome


def test_running_the_set_again_until_it_passes_shows_nothing():
    """What this candidate failed before is flaky where it passes now, as long as the case is the same; a person may sign."""
    results, known = regression("passed", "passed")
    failed = known.cases[0]

    check = check_of([results], known, {(failed.case_id, failed.digest)})

    assert ("INCONCLUSIVE", True, (failed.case_id,)) == (
        check.outcome,
        check.waivable,
        tuple(example.case_id for example in check.examples),
    )
    assert "PASS" == check_of([results], known, {(failed.case_id, "as it was before")}).outcome


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
