"""Changes that matter whatever the words are."""

import pytest

from auditlog.values import Fault, Message, Part
from replay.diff import compare


def kinds(diff):
    """Give the kinds of a diff's findings in order."""
    return [finding.kind for finding in diff.findings]


@pytest.fixture
def refund(make):
    """Refund an amount."""

    def refund(amount=40, **fields):
        return make.call(
            "issue_refund", {"order_id": "A-1", "amount": amount}, **({"effect": "write"} | fields)
        )

    return refund


@pytest.fixture
def escalate(make):
    """Hand the customer to a person."""
    return make.call("escalate_to_human", {"reason": "angry"}, effect="control")


def test_a_write_that_only_the_candidate_makes(make, refund):
    """A new write is found at its step."""
    diff = compare([make.turn(answer="No.")], [make.turn(refund(), answer="No.")])
    assert [(f.kind, f.detail, f.step) for f in diff.findings] == [
        ("new write", "issue_refund is called; the baseline does not call it", 0)
    ]


def test_a_write_that_only_the_baseline_made_is_as_loud(make, refund):
    """A lost write is found at its step."""
    diff = compare([make.turn(refund(), answer="No.")], [make.turn(answer="No.")])
    assert [(f.kind, f.step) for f in diff.findings] == [("lost write", 0)]


def test_a_new_read_is_no_finding(make):
    """Only writes change the world."""
    look = make.call("look_up_order", {"order_id": "A-1"}, effect="read")
    assert kinds(compare([make.turn(answer="No.")], [make.turn(look, answer="No.")])) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("get_order_details", []),
        ("findUserByEmail", []),
        ("crm__search-tickets", []),
        ("cancel_order", ["new write"]),
        ("getaway_booking", ["new write"]),
    ],
)
def test_an_undeclared_tool_writes_unless_its_name_reads(make, name, found):
    """Nobody declares effects in an imported file; the first word of the name stands in."""
    assert kinds(compare([make.turn(answer="No.")], [make.turn(make.call(name), answer="No.")])) == found


def test_a_declared_effect_wins_over_the_name(make):
    """`get_refund` that is declared a write is one."""
    refund = make.call("get_refund", effect="write")
    assert kinds(compare([make.turn(answer="No.")], [make.turn(refund, answer="No.")])) == ["new write"]


def test_a_stopped_write_is_new_and_blocked(make, refund):
    """Both facts are told: the agent wanted it, and the sandbox stopped it."""
    diff = compare([make.turn(answer="No.")], [make.turn(refund(tier="blocked"))], "blocked")
    assert kinds(diff) == ["new write", "write blocked"]


def test_other_money_in_a_write(make, refund):
    """An amount that changed is found with both values."""
    diff = compare([make.turn(refund(40), answer="Done.")], [make.turn(refund(400), answer="Done.")])
    assert [f.detail for f in diff.findings] == ["issue_refund /amount 40 → 400"]
    assert kinds(diff) == ["changed money"]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"refundAmount": "12.50"}, {"refundAmount": "125.0"}, 1),
        ({"items": [{"unit_price": 1}]}, {"items": [{"unit_price": 2}]}, 1),
        ({"payment_method_id": 7}, {"payment_method_id": 8}, 0),
        ({"note": "40"}, {"note": "41"}, 0),
        ({"amount": True}, {"amount": False}, 0),
        ({"reason": "refund 40"}, {"reason": "refund 41"}, 0),
    ],
)
def test_what_counts_as_money(make, before, after, found):
    """The path names an amount and both values are one."""
    pay = [
        [make.turn(make.call("pay", arguments, effect="write"), answer="x")] for arguments in (before, after)
    ]
    assert kinds(compare(*pay)).count("changed money") == found


def test_other_money_in_a_read_is_no_finding(make):
    """A quote for another amount pays nobody."""
    quote = [make.turn(make.call("quote", {"amount": n}, effect="read"), answer="x") for n in (1, 2)]
    assert kinds(compare(quote[:1], quote[1:])) == []


def test_a_lost_escalation(make, escalate):
    """The baseline handed over, the candidate answers by itself."""
    diff = compare(
        [make.turn(escalate, answer="A colleague will call.")], [make.turn(answer="Please calm down.")]
    )
    assert kinds(diff) == ["lost escalation"]


def test_a_new_escalation(make, escalate):
    """And the other way round."""
    diff = compare(
        [make.turn(answer="Here you are.")], [make.turn(escalate, answer="A colleague will call.")]
    )
    assert kinds(diff) == ["new escalation"]


def test_an_escalation_by_another_way_is_not_lost(make, escalate):
    """A hand-off span and a control tool are both hand-offs."""
    handoff = make.call("handoff", kind="handoff", escalation_reason="angry")
    diff = compare([make.turn(escalate, answer="x")], [make.turn(handoff, answer="x")])
    assert kinds(diff) == []


def test_an_escalation_without_a_step_is_seen_by_its_reason(make):
    """`escalation_reason` on the agent's span is enough."""
    diff = compare([make.turn(answer="x", escalation_reason="angry")], [make.turn(answer="x")])
    assert kinds(diff) == ["lost escalation"]


def test_a_control_tool_that_ends_the_conversation_is_no_escalation(make):
    """Stopping is not handing over."""
    end = make.call("end_conversation", effect="control")
    assert kinds(compare([make.turn(end, answer="x")], [make.turn(answer="x")])) == []


def test_a_write_in_place_of_an_escalation_loses_it(make, escalate, refund):
    """Where the run was stopped, what the baseline did at that very point is known to be lost."""
    look = make.call("look_up_order", effect="read")
    diff = compare(
        [make.turn(look, escalate, refund(5), answer="x")],
        [make.turn(look, refund(400, tier="blocked"))],
        "blocked",
    )
    assert "lost escalation" in kinds(compare([make.turn(look, escalate, answer="x")],
                                              [make.turn(look, refund(400, tier="blocked"))], "blocked"))  # fmt: skip
    assert "lost write" not in kinds(diff)


def test_a_stopped_run_proves_nothing_by_what_it_did_not_do(make, escalate):
    """A miss before the escalation leaves open whether the candidate would have escalated."""
    looks = [
        make.call("look_up_order", {"id": key}, effect="read", tier=tier)
        for key, tier in ((1, None), (2, "miss"))
    ]
    diff = compare([make.turn(looks[0], escalate, answer="x")], [make.turn(looks[1])], "diverged")
    assert kinds(diff) == []


def test_an_invented_date_makes_other_words_loud(make):
    """A cosmetic case with an unsupported date behaves differently."""
    before = make.turn(make.search("delivery", "art-1"), answer="It is on its way.")
    after = make.turn(make.search("delivery", "art-1"), answer="It arrives on 14 March.")
    diff = compare([before], [after])
    assert (diff.case_class, kinds(diff), diff.group) == (
        "cosmetic",
        ["unsupported date"],
        "cosmetic unsupported date",
    )
    assert diff.behaves_differently
    assert diff.summary.startswith("unsupported date: the answer says “14 March”")
    assert diff.steps[diff.findings[0].step].after.kind == "answer"


def test_what_the_baseline_invents_too_is_not_the_candidates(make):
    """An equally unsupported claim of the baseline is no change."""
    before, after = make.turn(answer="Call 555-0100."), make.turn(answer="Please call 555-0100.")
    assert kinds(compare([before], [after])) == []


@pytest.mark.parametrize(
    "place", ["result", "arguments", "document", "user", "system", "messages", "history"]
)
def test_every_source_of_the_turn_supports(make, place):
    """Results, what was written, documents, the customer, the prompt, the messages and the history support a claim."""
    fact, answer = "The fee is 12.50.", "You pay 12.50."
    calls, fields = [], {}
    match place:
        case "result":
            calls = [make.call("get_fee", {}, {"note": fact}, effect="read")]
        case "arguments":
            calls = [make.call("charge_fee", {"amount": 12.5}, effect="write")]
        case "document":
            calls = [make.search("fee") | {"documents": (make.document("art-1", fact),)}]
        case "user":
            fields = {"user": fact}
        case "system":
            calls = [make.call("llm", kind="model", system_instructions=fact)]
        case "messages":
            said = (Message("tool", (Part("tool_call_response", response={"fee": 12.5}),)),)
            calls = [make.call("llm", kind="model", input_messages=said)]
        case "history":
            fields = {"user": "And now?", "tags": {}}
    after = make.turn(*calls, answer=answer, **fields)
    earlier = [make.turn(answer="x", user=fact, number=3)] if place == "history" else []
    assert "unsupported number" not in kinds(compare([make.turn(answer="x")], [*earlier, after]))
    assert "unsupported number" in kinds(compare([make.turn(answer="x")], [make.turn(answer=answer)]))


@pytest.mark.parametrize("place", ["read", "failed write", "blocked write", "tool call", "thinking"])
def test_what_the_agent_itself_says_supports_nothing(make, place):
    """Looking a number up, trying to write it, or thinking it aloud makes it no fact."""
    asked = Message("user", (Part("text", content="What is the fee?"),))
    match place:
        case "read":
            calls = [make.call("get_fee", {"expected": 12.5}, effect="read")]
        case "failed write":
            calls = [make.call("charge_fee", {"amount": 12.5}, effect="write", fault=Fault("ValueError"))]
        case "blocked write":
            calls = [make.call("charge_fee", {"amount": 12.5}, effect="write", tier="blocked")]
        case "tool call":
            own = Message("assistant", (Part("tool_call", name="get_fee", arguments={"expected": 12.5}),))
            calls = [make.call("llm", kind="model", input_messages=(asked, own))]
        case _:
            own = Message("assistant", (Part("text", content="It must be 12.50."),))
            calls = [make.call("llm", kind="model", input_messages=(asked, own))]
    after = make.turn(*calls, answer="You pay 12.50.")
    assert "unsupported number" in kinds(compare([make.turn(answer="x")], [after]))


def test_an_agent_that_newly_fails(make):
    """The error's type and text are told."""
    diff = compare([make.turn(answer="x")], [make.turn(error="ValueError")], "errored")
    assert [f.detail for f in diff.findings if f.kind == "new error"] == [
        "the agent failed with ValueError: it broke"
    ]


def test_a_tool_that_newly_fails(make):
    """A tool error that the counterpart has too is not new."""
    good, bad = (
        make.call("look_up", {"id": 1}, effect="read", fault=f)
        for f in (None, make.fault("NotFound", "no A-1"))
    )
    diff = compare([make.turn(good, answer="x")], [make.turn(bad, answer="x")])
    assert [(f.kind, f.detail, f.step) for f in diff.findings] == [
        ("tool error", "look_up failed with NotFound: no A-1", 0)
    ]
    assert kinds(compare([make.turn(bad, answer="x")], [make.turn(bad, answer="x")])) == []


def test_what_the_sandbox_refused_is_no_tool_error(make):
    """A miss raises in the agent, and is no fault of the tool."""
    missed = make.call("look_up", {"id": 2}, effect="read", tier="miss", fault=make.fault("ReplayMiss"))
    assert kinds(compare([make.turn(answer="x")], [make.turn(missed)], "diverged")) == []


def test_other_documents_for_the_same_search(make):
    """A changed index is loud though every call is the same."""
    before = make.turn(make.search("returns", "art-1", "art-2"), answer="x")
    after = make.turn(make.search("returns", "art-1", "art-3"), answer="x")
    diff = compare([before], [after])
    assert [f.detail for f in diff.findings] == [
        "search_help found art-3 in place of art-2 for the same search"
    ]
    assert diff.case_class == "identical"
    assert diff.behaves_differently


def test_the_same_documents_in_another_order_are_no_finding(make):
    """Order shows in the document diff only."""
    before, after = (make.turn(make.search("returns", *ids), answer="x") for ids in (("a", "b"), ("b", "a")))
    diff = compare([before], [after])
    assert kinds(diff) == []
    assert diff.steps[0].documents.rbo < 1
