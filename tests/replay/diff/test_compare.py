"""The class, the first divergence and the summary of a comparison."""

import pytest

from replay.diff import compare

LOOK = ("look_up_order", {"order_id": "A-1"}, {"status": "shipped"})


@pytest.fixture
def look(make):
    """Look up an order."""
    return make.call(*LOOK, effect="read")


@pytest.fixture
def refund(make):
    """Refund an amount."""

    def refund(amount, **fields):
        return make.call("issue_refund", {"order_id": "A-1", "amount": amount}, effect="write", **fields)

    return refund


def test_the_same_behaviour_is_identical(make, look):
    """Equal calls and equal words are no change at all."""
    turns = [make.turn(look, answer="It has shipped.")]
    diff = compare(turns, turns)
    assert (diff.case_class, diff.first_divergence, diff.summary, diff.findings) == (
        "identical",
        None,
        "",
        (),
    )
    assert not diff.behaves_differently


def test_other_words_are_cosmetic(make, look):
    """Only the answer's words differ."""
    diff = compare([make.turn(look, answer="It has shipped.")], [make.turn(look, answer="It was shipped.")])
    assert (diff.case_class, diff.first_divergence) == ("cosmetic", None)
    assert diff.summary == "other words in 1 place"
    assert not diff.behaves_differently


def test_white_space_is_a_difference(make):
    """Texts are compared exactly; nothing is normalised."""
    assert compare([make.turn(answer="Done.")], [make.turn(answer="Done. ")]).case_class == "cosmetic"


def test_other_arguments_are_named_by_path(make, look, refund):
    """The first divergence says the tool, the path and both values."""
    diff = compare(
        [make.turn(look, refund(40), answer="Done.")], [make.turn(look, refund(400), answer="Done.")]
    )
    assert diff.case_class == "arguments"
    assert diff.first_divergence == 1
    assert diff.summary == "step 2: issue_refund /amount 40 → 400"
    assert diff.group == "arguments issue_refund /amount"


def test_a_call_that_vanished_is_missing(make, look, refund):
    """A baseline call without counterpart."""
    diff = compare([make.turn(look, refund(40), answer="Done.")], [make.turn(look, answer="Done.")])
    assert (diff.case_class, diff.summary) == ("missing", "step 2: issue_refund is not called")


def test_a_call_that_was_added_is_extra(make, look, refund):
    """A candidate call without counterpart."""
    diff = compare([make.turn(look, answer="Done.")], [make.turn(look, refund(40), answer="Done.")])
    assert (diff.case_class, diff.summary) == ("extra", "step 2: issue_refund is new")


def test_a_call_in_place_of_another_says_so(make, look, refund):
    """A replaced call shows both names, the candidate's first."""
    escalate = make.call("escalate_to_human", {"reason": "angry"}, effect="control")
    diff = compare([make.turn(look, escalate, answer="…")], [make.turn(look, refund(40), answer="…")])
    assert (diff.case_class, diff.summary) == ("extra", "step 2: issue_refund in place of escalate_to_human")
    assert [step.op for step in diff.steps] == ["same", "extra", "missing", "same"]


def test_the_same_calls_in_another_order_are_reordered(make, look):
    """Order alone differs."""
    search = make.search("returns", "art-1")
    diff = compare([make.turn(look, search, answer="Yes.")], [make.turn(search, look, answer="Yes.")])
    assert diff.case_class == "reordered"
    assert diff.first_divergence == 0
    assert sorted(step.op for step in diff.steps) == ["reordered", "same", "same"]


def test_two_calls_of_one_tool_that_changed_places_are_reordered(make):
    """Swapped arguments are an order, not two changes."""
    one, two = (make.call("look_up_order", {"order_id": key}, effect="read") for key in ("A-1", "B-2"))
    diff = compare([make.turn(one, two, answer="Yes.")], [make.turn(two, one, answer="Yes.")])
    assert diff.case_class == "reordered"
    assert [step.op for step in diff.steps] == ["reordered", "reordered", "same"]
    assert all(step.before.arguments == step.after.arguments for step in diff.steps)


def test_order_does_not_hide_a_call_that_was_added(make, look, refund):
    """A reordered read before a new write leaves the new write the first divergence."""
    search = make.search("returns", "art-1")
    diff = compare(
        [make.turn(look, search, answer="Yes.")], [make.turn(search, look, refund(1), answer="Yes.")]
    )
    assert (diff.case_class, diff.steps[diff.first_divergence].after.name) == ("extra", "issue_refund")


def test_what_follows_the_first_divergence_is_its_consequence(make, look, refund):
    """Everything behind the first divergence folds, whatever it is."""
    diff = compare(
        [make.turn(look, refund(40), make.search("a"), answer="Done.")],
        [make.turn(look, refund(41), answer="Done.")],
    )
    assert [step.consequence for step in diff.steps] == [False, False, True, True]


@pytest.mark.parametrize(
    ("status", "case_class"),
    [
        ("blocked", "blocked"),
        ("errored", "errored"),
        ("invalid", "errored"),
        ("unreplayable", "no-recording"),
    ],
)
def test_how_the_run_ended_decides_first(make, look, status, case_class):
    """The status speaks before any step does."""
    assert compare([make.turn(look, answer="x")], [make.turn(look)], status).case_class == case_class


def test_a_blocked_write_is_blocked_at_its_step(make, look, refund):
    """The class, the group and the summary name the write that was stopped."""
    diff = compare(
        [make.turn(look, answer="I have asked a colleague.")],
        [make.turn(look, refund(400, tier="blocked"))],
        "blocked",
    )
    assert diff.case_class == "blocked"
    assert diff.summary == "step 2: issue_refund is new (blocked)"
    assert diff.group == "blocked issue_refund"


def test_a_block_that_the_agent_swallowed_is_still_blocked(make, look, refund):
    """A completed run with a stopped write is `blocked` all the same."""
    after = [make.turn(look, refund(400, tier="blocked"), answer="Done.")]
    assert compare([make.turn(look, answer="Done.")], after).case_class == "blocked"


def test_a_miss_with_the_same_arguments_diverges(make):
    """A call that the recording could not serve is a divergence even when it looks the same."""
    before = [make.turn(make.call(*LOOK, effect="read"), answer="Yes.")]
    after = [make.turn(make.call(*LOOK, effect="read", tier="miss"))]
    diff = compare(before, after, "diverged")
    assert (diff.case_class, diff.first_divergence) == ("arguments", 0)
    assert "was not served" in diff.summary


def test_a_baseline_that_was_not_served_is_no_recording(make, look):
    """Nothing can be said against a baseline that missed."""
    before = [make.turn(make.call(*LOOK, tier="miss"))]
    diff = compare(before, [make.turn(look, answer="Yes.")])
    assert diff.case_class == "no-recording"
    assert (
        diff.summary == "the recording could not serve the baseline: it holds no such call of look_up_order"
    )


def test_an_agent_that_fails_is_errored_without_being_told(make, look):
    """Recorded conversations have no status; a failed agent span is enough."""
    diff = compare([make.turn(look, answer="Yes.")], [make.turn(look, error="KeyError")])
    assert (diff.case_class, diff.summary.split(";")[0]) == (
        "errored",
        "the agent failed with KeyError: it broke",
    )


def test_failing_in_the_same_way_is_the_same_behaviour(make, look):
    """A fault that both sides share is not the candidate's."""
    turns = [make.turn(look, error="KeyError")]
    assert compare(turns, turns).case_class == "identical"


def test_an_answer_that_never_came_is_missing(make, look):
    """An empty answer is no answer."""
    diff = compare([make.turn(look, answer="Yes.")], [make.turn(look, answer="")])
    assert (diff.case_class, diff.summary, diff.group) == (
        "missing",
        "step 2: one answer less",
        "missing answer",
    )


def test_turns_more_or_less_do_not_speak_before_calls(make, look, refund):
    """In a free conversation one more answer is noise beside a call that differs."""
    before = [make.turn(answer="Your order number?"), make.turn(look, refund(40), answer="Done.", number=1)]
    after = [make.turn(look, refund(41), answer="Done.")]
    diff = compare(before, after)
    assert diff.case_class == "arguments"
    assert diff.steps[0].op == "missing"


def test_structured_answers_are_compared_as_json(make):
    """An output that is not text differs by its values, not by its keys' order."""
    before = [make.turn(answer={"reply_parts": [1], "done": True})]
    same = [make.turn(answer={"done": True, "reply_parts": [1]})]
    other = [make.turn(answer={"done": False, "reply_parts": [1]})]
    assert compare(before, same).case_class == "identical"
    assert compare(before, other).case_class == "cosmetic"


def test_a_group_never_holds_what_a_customer_wrote(make):
    """Indexes and keys that look like data become `*`; values never enter."""

    def update(arguments):
        return [make.turn(make.call("update_profile", arguments, effect="write"))]

    before = {"items": [{"name": "a"}], "notes": {"ann@example.com": 1, "sara_doe_496": 1}}
    after = {"items": [{"name": "b"}], "notes": {"ann@example.com": 2, "sara_doe_496": 2}}
    assert compare(update(before), update(after)).group == "arguments update_profile /items/*/name /notes/*"


def test_a_summary_is_one_short_line_whatever_was_recorded(make, refund):
    """Line breaks and long values do not reach it."""
    before = [make.turn(make.call("note", {"text": "a\nb" * 500}))]
    after = [make.turn(make.call("note", {"text": "\x1b[2J\x00" * 500}))]
    summary = compare(before, after).summary
    assert summary.isprintable()
    assert len(summary) < 160


def test_nothing_against_nothing_is_identical():
    """Two empty behaviours do not differ."""
    diff = compare([], [])
    assert (diff.case_class, diff.steps) == ("identical", ())
    assert diff.measures["tool_calls"].before is None
