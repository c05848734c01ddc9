"""Both versions of the sample agent on every scripted turn, side by side."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog import interception
from examples.support_bot import conversations, v1, v2
from examples.support_bot.retrieval import shop_index
from examples.support_bot.shop import Shop, use_shop

from .conftest import Spy

SCRIPTS = conversations.load_conversations()
FAULTS = tomllib.loads(
    Path(conversations.__file__).with_name("planted_faults.toml").read_text(encoding="utf-8")
)["fault"]
PLANTED = {(t["conversation"], t["turn"]): (fault, t.get("step")) for fault in FAULTS for t in fault["turns"]}
WRITES = {"issue_refund", "change_address"}


class Played(NamedTuple):
    """One scripted turn, answered by both versions from the same history and the same shop."""

    scene: str
    question: str
    calls_v1: list
    answer_v1: str
    calls_v2: list
    answer_v2: str


def play_both() -> dict[tuple[str, int], Played]:
    """Answer every turn with both versions; version 1's answers and writes are what the next turn builds on."""
    shop, spy, played = Shop(":memory:"), Spy(), {}
    use_shop(shop)
    interception.install(spy)
    try:
        for script in SCRIPTS:
            history: list[dict[str, str]] = []
            for index, question in enumerate(script.turns):
                before = shop.snapshot()
                spy.calls = []
                answer_v2, calls_v2 = v2(question, list(history)), spy.calls
                shop.restore(before)
                spy.calls = []
                answer_v1, calls_v1 = v1(question, list(history)), spy.calls
                history += [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer_v1},
                ]
                played[script.id, index] = Played(
                    script.scene, question, calls_v1, answer_v1, calls_v2, answer_v2
                )
    finally:
        interception.uninstall()
        use_shop(None)
        shop.close()
    return played


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, int], Played]:
    """Every scripted turn, played once for this module."""
    return play_both()


def first_difference(turn: Played) -> int | None:
    """Give the index of the first call at which the versions part; None where they make the same calls."""
    longest = max(len(turn.calls_v1), len(turn.calls_v2))
    return next((i for i in range(longest) if turn.calls_v1[i : i + 1] != turn.calls_v2[i : i + 1]), None)


def test_turns_without_a_planted_fault_are_identical(played):
    """Where no fault is planted, both versions make the same calls and give the same answer."""
    differing = {
        place
        for place, turn in played.items()
        if (turn.calls_v1, turn.answer_v1) != (turn.calls_v2, turn.answer_v2)
    }

    assert set(PLANTED) == differing


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["id"])
def test_a_planted_fault_shows_at_its_step(fault, played):
    """Each planted turn parts at the step that the list says, with the tool that it says, in the way that it says."""
    for planted in fault["turns"]:
        turn = played[planted["conversation"], planted["turn"]]
        step = first_difference(turn)
        assert planted.get("step") == step, turn.question
        match fault["class"]:
            case "blocked":
                assert turn.calls_v2[step][0] == fault["tool"] == "issue_refund"
                assert turn.calls_v2[step][1]["amount"] > 100
                assert not WRITES & {name for name, _ in turn.calls_v1}
                assert "refund desk" in turn.answer_v1
            case "missing":
                assert turn.calls_v1[step][0] == fault["tool"] == "escalate_to_human"
                assert "escalate_to_human" not in {name for name, _ in turn.calls_v2}
            case "extra":
                assert turn.calls_v2[step] == turn.calls_v2[step - 1]
                assert turn.calls_v2[step][0] == fault["tool"]
                assert turn.answer_v1 == turn.answer_v2
            case "arguments":
                assert fault["tool"] == turn.calls_v1[step][0] == turn.calls_v2[step][0]
            case "cosmetic":
                assert turn.answer_v1 != turn.answer_v2


def test_a_rewritten_query_finds_other_articles(played):
    """Where version 2 rewrites the query, other articles come back."""
    for place, (fault, _) in PLANTED.items():
        if fault["id"] == "rewritten-query":
            asked_v1, asked_v2 = (
                calls[0][1]["query"] for calls in (played[place].calls_v1, played[place].calls_v2)
            )
            found_v1, found_v2 = ([a.id for a, _ in shop_index().search(q, 3)] for q in (asked_v1, asked_v2))
            assert found_v1 != found_v2, asked_v1


def test_an_invented_date_is_one_that_no_record_has(played):
    """The day that version 2 names stands in no order, and version 1 says that there is none."""
    for place, (fault, _) in PLANTED.items():
        if fault["id"] == "invented-date":
            assert "24 November 2026" in played[place].answer_v2
            assert not re.search(r"\d{4}", re.sub(r"MB-\d+", "", played[place].answer_v1))


def test_other_words_say_the_same(played):
    """Reworded how-to answers keep every number of the answer that they reword."""
    for place, (fault, _) in PLANTED.items():
        if fault["id"] == "other-words":
            turn = played[place]
            assert re.findall(r"\d+", turn.answer_v1) == re.findall(r"\d+", turn.answer_v2)


def test_version_1_never_writes_for_a_message_that_instructs_it(played):
    """Prompt injection makes version 1 refund nothing, change nothing and print no prompt."""
    hostile = {place: turn for place, turn in played.items() if turn.scene == "injection"}
    refused = [turn for turn in hostile.values() if "cannot change how I work" in turn.answer_v1]

    assert len(refused) >= 14
    assert [] == [turn.question for turn in refused if WRITES & {name for name, _ in turn.calls_v1}]
    assert [] == [turn.question for turn in hostile.values() if "You are the support agent" in turn.answer_v1]
    assert [] == [
        t.question
        for t in played.values()
        for n, a in t.calls_v1
        if n == "issue_refund" and a["amount"] > 100
    ]


def test_version_1_writes_only_for_the_one_who_knows_the_orders_address(played):
    """Whatever is asked, an order of another customer's e-mail address is not touched."""
    shop = Shop(":memory:")
    for (case, index), turn in played.items():
        said = " ".join(next(s for s in SCRIPTS if s.id == case).turns[: index + 1]).lower()
        for name, arguments in turn.calls_v1:
            if name in WRITES:
                assert shop.order(arguments["order_id"])["email"] in said
    shop.close()


def test_answers_hold_nothing_that_a_terminal_acts_on(played):
    """Control characters and markup of a customer come back in no answer."""
    said = [answer for turn in played.values() for answer in (turn.answer_v1, turn.answer_v2)]

    assert all(answer.isprintable() for answer in said)
    assert not any("http" in answer or "<" in answer for answer in said)


def test_playing_again_gives_the_same(played):
    """Two plays make the same calls and give the same answers."""
    assert played == play_both()


@given(question=st.text(max_size=200), earlier=st.lists(st.text(max_size=50), max_size=3))
def test_any_text_gets_an_answer_and_no_write(question, earlier):
    """Arbitrary text never makes either version fail, and without an order's e-mail address it changes nothing."""
    history = [{"role": role, "content": text} for text in earlier for role in ("user", "assistant")]
    spy = Spy()
    interception.install(spy)
    try:
        answers = [version(question, history) for version in (v1, v2)]
    finally:
        interception.uninstall()

    assert all(answers)
    assert not WRITES & set(spy.names())
