"""What counts as a step, and what was measured."""

from auditlog.values import Usage
from replay.diff import compare, steps_of


def names(turns):
    """Give the names of the steps of these turns."""
    return [step.name for step in steps_of(turns)]


def test_calls_are_steps_in_the_order_of_their_start_and_the_answer_is_last(make):
    """Tools, retrievers and hand-offs are steps; model calls and guards are not."""
    turn = make.turn(
        make.call("gpt", kind="model"),
        make.search("returns"),
        make.call("look_up", {"id": 1}),
        make.call("check", kind="guardrail"),
        make.call("handoff", kind="handoff", escalation_reason="angry", escalation_to="tier 2"),
        answer="Bye.",
    )
    assert names([turn]) == ["search_help", "look_up", "handoff", "answer"]
    assert steps_of([turn])[2].arguments == {"reason": "angry", "to": "tier 2"}


def test_several_turns_follow_one_another(make):
    """A conversation's steps are its turns' steps."""
    turns = [make.turn(make.call("a"), answer="1"), make.turn(make.call("b"), answer="2", number=1)]
    assert names(turns) == ["a", "answer", "b", "answer"]


def test_what_a_tool_does_inside_itself_is_not_a_step(make):
    """A replay serves the outer call without entering it, so the inner ones cannot be compared."""
    outer = make.call("escalate_to_human", span_id="f" * 16)
    inner = make.call("handoff", kind="handoff", parent_span_id="f" * 16, span_id="e" * 16)
    innermost = make.call("send_mail", parent_span_id="e" * 16)
    assert names([make.turn(outer, inner, innermost, answer="x")]) == ["escalate_to_human", "answer"]


def test_parents_that_go_in_a_circle_end(make):
    """Hostile parent ids do not hang the reader."""
    one = make.call("a", span_id="f" * 16, parent_span_id="e" * 16)
    other = make.call("b", kind="other", span_id="e" * 16, parent_span_id="f" * 16)
    assert names([make.turn(one, other, answer="x")]) == ["a", "answer"]


def test_measures_do_not_count_twice(make):
    """Tokens are the model calls'; an agent span that repeats their sum does not add to it."""
    usage = Usage(input_tokens=100, output_tokens=10)
    turn = make.turn(
        make.call("gpt", kind="model", usage=usage, cost_usd=0.5), answer="x", usage=usage, cost_usd=0.5
    )
    lone = make.turn(answer="x", usage=usage)
    measures = compare([turn], [lone]).measures
    assert (measures["input_tokens"].before, measures["input_tokens"].after) == (100, 100)
    assert (measures["cost_usd"].before, measures["cost_usd"].after) == (0.5, None)
    assert (measures["model_calls"].before, measures["model_calls"].after) == (1, 0)


def test_latency_needs_every_turns_end(make):
    """The sum of the turns' durations, and None where one has no end."""
    whole = make.turn(make.call("a"), answer="x")
    measures = compare([whole], [make.turn(answer="x", number=1)]).measures
    assert (measures["latency_ms"].before, measures["latency_ms"].after) == (2.0, 1.0)
    assert measures["tool_calls"].before == 1
