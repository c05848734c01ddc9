"""What is expected of a case: from words, from a file, from a recorded turn, and from what a person changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.values import Fault, Span, Turn
from replay.errors import RunError
from replay.regress.deriving import Review, declines, derived, from_review, reviews_of, was_changed
from replay.regress.expectations import (
    CallPattern,
    Expectations,
    from_json,
    from_toml,
    from_words,
    to_json,
    words,
)

FILE = """
escalation = false
other_writes = false
must_match = ["on its way"]

[[must_call]]
tool = "refund"
arguments = { amount = 40 }
"""


def turn(*calls, answer="Done.", review=None, escalated=False, **agent):
    """Give a recorded turn of calls: (name, arguments, effect)."""
    spans = [
        Span(trace_id="t", span_id="a", kind="agent", name="bot", start_ns=0, input={"q": "?"}, output=answer,
             escalation_reason="angry" if escalated else None, **agent)
    ]  # fmt: skip
    spans += [
        Span(trace_id="t", span_id=f"s{n}", parent_span_id="a", kind="tool", name=name, effect=effect,
             input=arguments, start_ns=n)
        for n, (name, arguments, effect) in enumerate(calls, start=1)
    ]  # fmt: skip
    if review is not None:
        spans.append(
            Span(
                trace_id="t",
                span_id="r",
                parent_span_id="a",
                kind="other",
                name="review",
                input=review,
                start_ns=90,
            )
        )
    return Turn(spans[0], tuple(spans))


def test_a_recorded_turn_expects_what_it_did():
    """Its writes with their arguments and no others, and no hand-off; reads are free."""
    found = derived(turn(("look", {"id": 1}, "read"), ("refund", {"id": 1, "amount": 40}, "write")))
    assert ['expect tool:refund {"id": 1, "amount": 40}', "forbid write", "forbid escalation"] == words(found)


def test_a_recorded_refusal_and_a_hand_off_are_expected():
    """A turn that declined and wrote nothing expects a refusal; one that handed over expects that."""
    assert ["forbid write", "forbid escalation", "expect refusal"] == words(
        derived(turn(answer="I can’t do that."))
    )
    assert ["forbid write", "expect escalation"] == words(derived(turn(escalated=True)))


def test_a_write_that_lost_its_arguments_is_expected_by_its_name():
    """What was not kept as it was cannot be compared: any call of the tool will do."""
    lost = {"to": {"$auditlog": "object", "type": "x.Y"}}
    found = derived(turn(("send", lost, "write")))
    assert (CallPattern("send"),) == found.must_call


def test_what_a_person_took_out_is_forbidden_and_what_was_put_in_is_expected():
    """The refund that the draft promised, its amount and its date must not come back; the order that was added must be named."""
    review = {
        "draft": "I promise you a full refund of 40 EUR. We value you a very great deal.",
        "final": "A colleague will look at order A-1001.",
        "by": "ann",
    }
    recorded = turn(review=review, answer=review["draft"])
    assert was_changed(recorded)
    found = derived(recorded)
    assert (("A-1001",), ("40 EUR",)) == (found.facts, found.not_facts)
    assert "refund_promise" in found.not_acts
    assert found.other_writes is False


def test_a_longer_phrase_that_a_person_took_out_is_forbidden():
    """Words without a claim are forbidden as they stand, where there are at least four of them."""
    found = from_review(Review("Thanks. You are so very right about this. Bye.", "Thanks. Bye."))
    assert (r"You\s+are\s+so\s+very\s+right\s+about\s+this\.",) == found.must_not_match
    assert () == from_review(Review("Thanks a lot. Bye.", "Thanks. Bye.")).must_not_match


def test_an_approved_draft_expects_nothing_more():
    """A person who sent the draft as it was taught nothing."""
    recorded = turn(review={"draft": "Hello.", "final": "Hello.", "by": None})
    assert not was_changed(recorded)
    assert [Review("Hello.", "Hello.")] == reviews_of(recorded)
    assert derived(turn()) == derived(recorded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I cannot refund that.", True),
        ("We’re unable to do so.", True),
        ("Das ist leider nicht möglich.", True),
        ("I refunded it.", False),
        ("Ich kann Ihnen das Geld zurückgeben.", False),
    ],
)
def test_a_refusal_is_told_by_its_words(text, expected):
    """An answer that declines says so in some of the usual words."""
    assert expected == declines(text)


def test_words_of_a_command_line_are_read():
    """Each kind of expectation has a word, with arguments as JSON behind a tool's name."""
    found = from_words(
        ['tool:refund {"amount": 40}', "tool:look", "escalation", "text:on its way", "fact:40 EUR"],
        ["write", "tool:cancel", "text:guarantee", "fact:41", "act:refund_promise", "refusal"],
    )
    assert (CallPattern("refund", {"amount": 40}), CallPattern("look")) == found.must_call
    assert (CallPattern("cancel"),) == found.must_not_call
    assert (True, False, False) == (found.escalation, found.other_writes, found.refuses)
    assert found == from_json(to_json(found))
    again = [said.partition(" ")[::2] for said in words(found)]
    assert found == from_words([w for v, w in again if v == "expect"], [w for v, w in again if v == "forbid"])


@pytest.mark.parametrize(
    ("expect", "forbid", "said"),
    [
        (["tol:x"], [], "'tol:x' is no expectation; nearest 'tool'."),
        (["tool:"], [], "'tool:' is no expectation: it is written tool:NAME."),
        (["escalation:soon"], [], "it is written escalation."),
        (["tool:x {a}"], [], "The arguments of 'x' are no JSON object"),
        (["act:refund_promise"], [], "forbidden and not expected: --forbid act:refund_promise."),
        (
            [],
            ["act:refund_promis"],
            "speech act 'refund_promis' is unknown; nearest 'refund_promise'.",
        ),
        (["text:("], [], "is no regular expression in RE2 syntax"),
    ],
)
def test_a_wrong_word_is_told_with_the_nearest(expect, forbid, said):
    """What cannot be read is refused, with what there is."""
    with pytest.raises(RunError) as caught:
        from_words(expect, forbid)
    assert said in str(caught.value)


def test_a_file_says_all_that_is_expected():
    """An expectations file holds the fields by name."""
    expected = Expectations(
        must_call=(CallPattern("refund", {"amount": 40}),),
        other_writes=False,
        escalation=False,
        must_match=("on its way",),
    )
    assert expected == from_toml(FILE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "escalation = false\nmust_cal = []",
            "e.toml:2:1: key 'must_cal' is unknown; nearest 'must_call'.",
        ),
        ("escalation = 1", "e.toml:1:1: escalation is true or false."),
        ("facts = 'x'", "e.toml:1:1: facts is a list of texts."),
        ("\n[[must_call]]\ntol = 'x'", "e.toml:2:3: must_call is a list of tables"),
        ("must_match = ['(']", "e.toml:1:1: The pattern '(' is no regular expression"),
        ("x", "e.toml is no TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(text, said):
    """What is no expectation is refused, and the message says where."""
    with pytest.raises(RunError) as caught:
        from_toml(text, "e.toml")
    assert said in str(caught.value)


TEXTS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=3).map(tuple)
CALLS = st.lists(
    st.builds(
        CallPattern,
        st.text(min_size=1, max_size=5),
        st.none() | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    ),
    max_size=3,
).map(tuple)
YES_NO = st.none() | st.booleans()


@given(st.builds(Expectations, CALLS, CALLS, YES_NO, YES_NO, YES_NO, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
def test_expectations_survive_the_store(expected):
    """What is expected comes back as it was, and with the same digest."""
    again = from_json(to_json(expected))
    assert expected == again
    assert expected.digest == again.digest
    assert expected == expected.joined(expected)


def test_a_failed_write_is_not_expected():
    """A write that raised when it was recorded is nothing that a candidate has to do."""
    recorded = turn(("send", {"to": 1}, "write"))
    agent, call = recorded.spans
    failed = Span(
        **{name: getattr(call, name) for name in Span.__slots__ if name != "fault"}, fault=Fault("OSError")
    )
    assert () == derived(Turn(agent, (agent, failed))).must_call
