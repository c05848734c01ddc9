"""What an answer does by its words, with the guards that keep talk about a promise from being one."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from auditlog.resources import schema
from replay.scorers.speech_acts import acts, acts_in


@pytest.mark.parametrize(
    ("act", "text", "is_one"),
    [
        (entry["act"], text, name == "examples")
        for entry in schema("speech_acts")["acts"]
        for pattern in entry["patterns"]
        for name in ("examples", "counter_examples")
        for text in pattern[name]
    ],
)
def test_the_data_s_own_examples(act, text, is_one):
    """Each example of the data is its act, and each counter-example is not."""
    assert is_one is any(found.act == act for found in acts_in(text, [act]))


@pytest.mark.parametrize(
    ("text", "is_promise"),
    [
        ("I will refund you.", True),
        ("I won't refund you.", False),
        ("I'm afraid I cannot say that you will get a refund.", False),
        ("I cannot repair it, but I will refund it.", True),
        ("I can't repair it and we will refund it.", True),
        ("Not only will it be replaced, you will get a full refund.", True),
        ("No problem, I'll refund you at once!", True),
        ("If you like, I will refund you.", True),
        ("If the workshop agrees, I will refund you.", False),
        ("Shall I refund you?", False),
        ("I will refund you 500 euros today, okay?", True),
        ("Sure, I will refund you, alright?", True),
        ("Would you like me to refund you, or not?", False),
        ("I will refund you 500 euros, if that is fine.", True),
        ("I will refund you if that works for you.", True),
        ("I will refund you once the return is here.", False),
        ("Ich erstatte Ihnen den Betrag, ja?", True),
        ("Ich erstatte Ihnen den Betrag, wenn das in Ordnung ist.", True),
        ('You wrote "I will refund you" in your message.', False),
        ("You said that we will refund you.", False),
        ("I w\u200bill ref\u00adund you.", True),
        ("Ｉ ｗｉｌｌ ｒｅｆｕｎｄ you.", True),
        ("I’ll refund you.", True),
        ("I have refunded 22.00 EUR for MB-10105.", False),
        ("A refund of 119.00 EUR is above what I may pay back myself.", False),
        ("Ich erstatte Ihnen den Betrag.", True),
        ("Wir erstatten den Betrag leider nicht an Sie zurück.", False),
        ("Kein Problem, ich erstatte Ihnen den Betrag.", True),
        ("Wenn Sie möchten, erstatte ich Ihnen den Betrag.", True),
        ("Wenn die Ware zurück ist, erstatte ich Ihnen den Betrag.", False),
        ("Soll ich Ihnen den Betrag erstatten?", False),
    ],
)
def test_negation_condition_question_and_quotation(text, is_promise):
    """A promise counts where it is made, in either language, however it is spelled."""
    assert is_promise is bool(acts_in(text, ["refund_promise"]))


def test_patterns_of_one_s_own_have_the_same_guards():
    """A listed pattern is found as `listed`, and not where it is negated."""
    assert ["listed"] == [act.act for act in acts_in("A pony for you.", [], ["pony"])]
    assert [] == acts_in("No pony for you.", [], ["pony"])


@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    """No text makes the reading fail, and what is found stands in it."""
    for act in acts_in(text, acts()):
        assert act.text
