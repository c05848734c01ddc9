"""What an answer claims, and what supports it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.diff.grounding import Sources, claims_in


def unsupported(answer, *sources):
    """Give the texts of the claims that the sources do not support."""
    known = Sources()
    known.add(sources)
    return [claim.text for claim in known.unsupported(answer)]


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        ("You get $1,250.00 back.", [("number", "$1,250.00")]),
        ("Das sind 1.250,00 € oder 12,5 %.", [("number", "1.250,00 €"), ("number", "12,5 %")]),
        ("Order #W-1042 is late.", [("number", "#W-1042")]),
        ("It takes 3-5 business days.", [("number", "5 business days")]),
        ("I found 2 orders.", []),
        ("1. Open the box\n2) Close it", []),
        ("We are here 24/7.", []),
        ("A 1000-piece puzzle.", [("number", "1000-piece")]),
        ("Call 1-800-555-0100.", [("number", "1-800-555-0100")]),
        ("On 2026-03-14 at 10:30.", [("date", "2026-03-14"), ("date", "10:30")]),
        ("On March 14th, 2026.", [("date", "March 14th, 2026")]),
        ("On the 14th of March.", [("date", "14th of March")]),
        ("By 14.03.2026 or 3/15/26.", [("date", "14.03.2026"), ("date", "3/15/26")]),
        ("By Friday, or tomorrow at 5 pm.", [("date", "Friday"), ("date", "tomorrow"), ("date", "5 pm")]),
        ("It may 5 times fail; you may ask.", [("date", "may 5")]),
        ("Nothing to check here.", []),
        ("30 February and 99:99 are nothing", []),
    ],
)
def test_what_is_a_claim(answer, claims):
    """Numbers, ids, dates, weekdays and times are; small counts and list marks are not."""
    assert [(claim.kind, claim.text) for claim in claims_in(answer)] == claims


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("$1,250.00", {"total": 1250}),
        ("$40.00", {"amount_cents": 4000}),
        ("15%", {"rate": 0.15}),
        ("5 days", "within five business days"),
        ("#W1042", "order w1042"),
        ("order 1042", "ORD-1042"),
        ("14 March", "2026-03-14T09:00:00Z"),
        ("on Saturday", {"eta": "2026-03-14"}),
        ("2026-03-14", "the 14th of March 2026"),
        ("03/04/2026", "4 March 2026"),
        ("03/04/2026", "3 April 2026"),
        ("2 pm", "open until 14:00"),
        ("9:00 a.m.", {"opens": "2026-03-14T09:00:00+01:00"}),
        ("129.50", '{"total": 129.5}'),
        ("2026", "2026-03-14"),
        ("30 minutes", [{"deep": [{"minutes": 30}]}]),
        ("42", {"42": "a key counts"}),
    ],
)
def test_another_form_of_the_same_supports(answer, source):
    """Form does not matter, only what is said."""
    assert unsupported(answer) == [claims_in(answer)[0].text]
    assert unsupported(answer, source) == []


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("$400", {"amount": 40}),
        ("16 March 2026", "2026-03-14"),
        ("Monday", "2026-03-14"),
        ("14 March 2025", "2026-03-14"),
        ("$90", [{"amount": 40}, {"amount": 50}]),
        ("3 pm", "14:00"),
        ("104", "ORD-1042"),
        ("May 5", ["may", "5"]),
        ("12.5", True),
    ],
)
def test_something_else_does_not_support(answer, source):
    """No arithmetic, no neighbours, no parts of numbers."""
    assert unsupported(answer, source) == [claims_in(answer)[0].text]


def test_a_claim_is_told_once():
    """Repeating an invention does not multiply it."""
    assert len(claims_in("$40 now, $40 later, 40 USD ever.")) == 1


def test_what_was_added_later_supports_too():
    """Sources of a later turn come on top of those read before."""
    known = Sources()
    known.add(["the fee is 12.50"])
    assert [c.text for c in known.unsupported("12.50 or 13.50")] == ["13.50"]
    known.add(["13.50"])
    assert known.unsupported("12.50 or 13.50") == ()


@given(st.text())
def test_any_text_can_be_read(text):
    """No text makes extraction fail, and each text supports its own claims."""
    assert unsupported(text, text) == []


@pytest.mark.parametrize(
    "text", ["a-" * 50_000, "1-" * 50_000, "." * 100_000, "1.1." * 25_000, "$ " * 50_000]
)
def test_hostile_repetition_is_read_in_linear_time(text):
    """Patterns that would back-track for minutes end (the test suite's time limit is the judge)."""
    claims_in(text + "!")


def test_deep_nesting_is_read():
    """Recorded content cannot exhaust the stack."""
    value = 77
    for _ in range(100_000):
        value = [value]
    assert unsupported("77", value) == []
