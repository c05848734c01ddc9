"""Which writes are new: to somebody else, a second time, of another amount, of a tool that nobody knows."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from auditlog.values import Replay, Span, Turn
from replay.gate.facts import Facts, Write, execution, with_known_tools
from replay.gate.hard import Confirmation, hard_checks, suspects
from replay.gate.integrity import run_checks
from replay.gate.metrics import pair_of, violations
from replay.matching.rules import parse_rules
from replay.results.trials import Trial

CALM = Facts("candidate", 0, "complete", answer="a", unlike=1.0)
NONE = Confirmation(None, {}, "nothing was to be run.")


def found(checks, name):
    return next(check for check in checks if check.id == name)


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


def test_no_match_rule_forgives_money_or_hides_whom_a_write_is_about(case, policy, manifest):
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
