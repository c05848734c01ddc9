"""Reading what was recorded, live and sealed."""

from datetime import UTC, datetime, timedelta

import pytest

from auditlog.errors import FilterError, NotFoundError
from auditlog.values import Document, Evaluation, Fault, utc


@pytest.fixture(params=["live", "sealed"])
def seen(request, store, script):
    """Give a function that makes what was written visible: as it lies in the journal, or sealed."""

    def show():
        if request.param == "sealed":
            script.writer.close()
            assert store.seal().sealed
        store.refresh()
        return store

    return show


def test_a_turn_reads_back_as_it_was_recorded(seen, script):
    """A conversation's turn has its spans, texts, tools and usage, whether it is sealed or not."""
    turn_id = script.turn(
        "case-1", user="Where is it?", answer="Here.", cost=0.25, evaluations=[{"name": "reward", "value": 1}]
    )
    conversation = seen().conversation("case-1")
    (turn,) = conversation.turns
    assert (turn.turn_id, turn.index, turn.status) == (turn_id, 0, "ok")
    assert (turn.user_text, turn.answer_text, turn.system_prompt) == ("Where is it?", "Here.", "Be kind.")
    assert [span.kind for span in turn.spans] == ["agent", "model", "tool"]
    (tool,) = turn.of_kind("tool")
    assert (tool.name, tool.effect, tool.input, tool.output) == (
        "look_up_order",
        "read",
        {"order_id": "A-1"},
        {"state": "sent"},
    )
    (model,) = turn.of_kind("model")
    assert (model.usage.input_tokens, model.usage.output_tokens, model.cost_usd) == (10, 5, 0.25)
    assert model.output_messages[0].text == "Here."
    assert conversation.evaluations == (Evaluation("reward", 1.0),)
    assert turn.agent.attributes["user.id"] == "u-1"


def test_a_summary_shows_what_stands_out(seen, script):
    """A summary counts turns, tools, errors, tokens and cost, and says why a conversation stands out."""
    script.turn("case-1", attributes={"auditlog.tag.arm": "base"}, cost=0.5)
    script.turn(
        "case-1",
        user="Again?",
        status="error",
        tools=(("issue_refund", {}, "no such order", "error"),),
        attributes={"auditlog.tag.task": "7", "auditlog.escalation.reason": "angry"},
        cost=0.25,
    )
    (summary,) = seen().summaries()
    assert (summary.status, summary.why) == ("error", ("error", "escalated", "tool error"))
    assert (summary.turns, summary.spans, summary.tool_calls, summary.tool_errors) == (2, 6, 2, 1)
    assert (summary.input_tokens, summary.output_tokens, summary.cost_usd) == (20, 10, 0.75)
    assert (summary.agent_name, summary.agent_version, summary.user_id) == ("support-bot", "v1", "u-1")
    assert (summary.model, summary.last_user_text) == ("gpt-test", "Again?")
    assert summary.tags == {"arm": "base", "task": "7"}


def test_an_agents_own_sum_of_tokens_is_not_counted_twice(seen, script):
    """Tokens are those of the model calls; what an agent span repeats counts only where no model call reports any."""
    trace, turn = script.new_id(32), script.new_id()
    script.span(
        trace=trace,
        span=turn,
        kind="agent",
        name="bot",
        conversation="c",
        attributes={"gen_ai.usage.input_tokens": 7},
    )
    script.span(
        trace=trace,
        span=script.new_id(),
        parent=turn,
        kind="model",
        name="m",
        attributes={"gen_ai.usage.input_tokens": 7},
    )
    script.span(
        trace=script.new_id(32),
        span=script.new_id(),
        kind="agent",
        name="bot",
        conversation="d",
        attributes={"gen_ai.usage.input_tokens": 9},
    )
    store = seen()
    assert {s.conversation_id: s.input_tokens for s in store.summaries()} == {"c": 7, "d": 9}


def test_summaries_are_newest_first_and_page(seen, script):
    """Lists begin with the conversation that began last; limit and offset cut pages out of one order."""
    for number in range(7):
        script.turn(f"case-{number}")
    store = seen()
    names = [s.conversation_id for s in store.summaries()]
    assert names == [f"case-{n}" for n in reversed(range(7))]
    assert [s.conversation_id for s in store.summaries(limit=3, offset=2)] == names[2:5]
    assert store.summaries(limit=3, offset=7) == []
    assert [c.conversation_id for c in store.conversations(limit=2)] == ["case-0", "case-1"]


def test_since_and_until_are_about_when_a_conversation_began(seen, script):
    """A conversation counts from its beginning on: since includes, until excludes."""
    for number in range(3):
        script.turn(f"case-{number}")
    store = seen()
    starts = {s.conversation_id: s.start for s in store.summaries()}
    later = starts["case-1"]
    assert [s.conversation_id for s in store.summaries(since=later)] == ["case-2", "case-1"]
    assert [s.conversation_id for s in store.summaries(until=later)] == ["case-0"]
    assert store.count(since=later, until=starts["case-2"]) == 1
    assert store.count(since=datetime.now(UTC) + timedelta(days=1)) == 0


def test_a_filter_chooses_conversations_everywhere(seen, script):
    """Summaries, counts, conversations and turns take the same filter, and say what is wrong with a bad one."""
    script.turn("case-1")
    script.turn("case-2", tools=(("issue_refund", {}, {}, "ok"),), user="refund me, “now”")
    store = seen()
    for where in ("tool:issue_refund", "text:'refund me'", "text:“now”"):
        assert [s.conversation_id for s in store.summaries(where, limit=5)] == ["case-2"]
        assert store.count(where) == 1
        assert [c.conversation_id for c in store.conversations(where)] == ["case-2"]
        assert [t.user_text for t in store.turns(where)] == ["refund me, “now”"]
    with pytest.raises(FilterError):
        store.count("nofield:x")


def test_the_nearest_of_equals_is_always_the_same(seen, script):
    """Of ids that are equally near, the first in their order is named, with the index and without."""
    for number in (1199, 1019, 1099, 1091):
        script.turn(f"case-{number}")
    store = seen()
    assert store._lists._scanned_around("case-9999", 9) == store._lists.names_around("case-9999", 9)
    with pytest.raises(NotFoundError, match=r"The nearest is 'case-1099'"):
        store.conversation("case-9999")


def test_a_conversation_id_may_be_cut_short(seen, script):
    """A beginning that only one id has is enough; else the ids it could mean, or the nearest, are named."""
    for name in ("case-17", "case-18", "ticket-9"):
        script.turn(name)
    store = seen()
    assert store.conversation("tick").conversation_id == "ticket-9"
    with pytest.raises(NotFoundError, match=r"several conversation ids: 'case-17', 'case-18'\. Write more"):
        store.conversation("case-1")
    with pytest.raises(NotFoundError, match=r"no conversation 'tiket-9'\. The nearest is 'ticket-9'"):
        store.conversation("tiket-9")
    with pytest.raises(NotFoundError):
        store.conversation("")


def test_replays_show_only_when_their_run_is_asked_for(seen, script):
    """Ordinary lists leave replays out; run and arm choose them; a replayed conversation opens by its id."""
    script.turn("case-1")
    for arm in ("baseline", "candidate"):
        lineage = {"auditlog.replay.run_id": "run-1", "auditlog.replay.arm": arm, "auditlog.replay.repeat": 1}
        script.turn(f"run-1/{arm}/case-1", attributes=lineage)
    script.turn("other", attributes={"auditlog.replay.run_id": "run-2", "auditlog.replay.arm": "baseline"})
    store = seen()
    assert [s.conversation_id for s in store.summaries()] == ["case-1"]
    assert [c.conversation_id for c in store.conversations()] == ["case-1"]
    assert {c.conversation_id for c in store.conversations(run="run-1")} == {
        "run-1/baseline/case-1",
        "run-1/candidate/case-1",
    }
    (turn,) = store.turns("tool:look_up_order", run="run-1", arm="candidate")
    assert turn.agent.replay is not None
    assert (turn.agent.replay.run_id, turn.agent.replay.arm, turn.agent.replay.repeat) == (
        "run-1",
        "candidate",
        1,
    )
    assert list(store.conversations(run="nothing")) == []
    assert store.conversation("run-1/candidate").conversation_id == "run-1/candidate/case-1"
    assert store.query("SELECT count(*) AS n FROM spans").to_pylist() == [{"n": 3}]
    assert store.query("SELECT count(*) AS n FROM spans", run="run-1").to_pylist() == [{"n": 6}]
    assert store.query("SELECT count(*) AS n FROM all_spans").to_pylist() == [{"n": 12}]


def test_a_span_without_a_conversation_belongs_to_its_trace(seen, script):
    """A trace that names no conversation is its own; a span inherits turn and conversation from its ancestors."""
    trace, root, call = script.new_id(32), script.new_id(), script.new_id()
    script.span(trace=trace, span=call, parent=root, kind="model", name="chat")
    script.span(trace=trace, span=root, kind="other", name="request")
    other, agent, inner, leaf = script.new_id(32), script.new_id(), script.new_id(), script.new_id()
    script.start(
        trace=other, span=agent, kind="agent", name="outer", attributes={"gen_ai.conversation.id": "case-9"}
    )
    script.start(trace=other, span=inner, parent=agent, kind="agent", name="inner")
    script.span(trace=other, span=leaf, parent=inner, kind="tool", name="t")
    script.end(trace=other, span=inner)
    script.end(trace=other, span=agent)
    store = seen()
    assert [span.span_id for span in store.conversation(trace).spans] == [call, root]
    assert store.conversation(trace).turns[0].agent.span_id == root
    (turn,) = store.conversation("case-9").turns
    assert (turn.turn_id, {span.turn_id for span in turn.spans}) == (agent, {agent})


def test_what_a_call_raised_and_found_is_kept(seen, script):
    """Errors, documents and streams come back as values."""
    trace, span = script.new_id(32), script.new_id()
    script.start(
        trace=trace, span=span, kind="retriever", name="search", conversation="c", parts={"input": {"q": "x"}}
    )
    found = [
        {"id": 7, "content": "text", "score": 0.5, "source": "kb"},
        "bare",
        {"id": None, "text": "t", "score": "high"},
    ]
    script.end(
        trace=trace,
        span=span,
        status="error",
        parts={"documents": found, "error": {"type": "TimeoutError", "message": "too slow", "stack": "…"}},
    )
    (only,) = seen().conversation("c").spans
    assert only.documents == (Document("7", "text", 0.5, "kb"), Document(None, "bare"), Document(None, "t"))
    assert only.fault == Fault("TimeoutError", "too slow", "…")


def test_turns_count_from_nought_by_their_start(seen, script):
    """A conversation's turns are in the order of their start, whatever the order of their records."""
    later = script.turn("c", user="second")
    script.now -= 10_000_000_000
    sooner = script.turn("c", user="first")
    conversation = seen().conversation("c")
    assert [(t.turn_id, t.index, t.user_text) for t in conversation] == [
        (sooner, 0, "first"),
        (later, 1, "second"),
    ]


def test_a_refresh_shows_what_was_written_since(store, script):
    """What is written after opening shows after a refresh, a span that ends turns from incomplete to ok."""
    turn = script.turn("case-1", ended=False)
    assert store.count() == 0
    store.refresh()
    assert store.summaries()[0].status == "incomplete"
    assert store.summaries()[0].why == ("incomplete",)
    trace = store.conversation("case-1").turns[0].agent.trace_id
    script.end(trace=trace, span=turn, parts={"output": "Done."})
    script.turn("case-2")
    store.refresh()
    assert [(s.conversation_id, s.status) for s in store.summaries()] == [("case-2", "ok"), ("case-1", "ok")]
    assert store.conversation("case-1").turns[0].answer_text == "Done."


def test_times_keep_their_nanoseconds(seen, script):
    """A span's times are the recorded nanoseconds; a list's are UTC datetimes of them."""
    began = 1_763_877_600_123_456_789
    trace, span = script.new_id(32), script.new_id()
    script.start(trace=trace, span=span, kind="agent", name="a", conversation="c", at=began)
    script.end(trace=trace, span=span, at=began + 1_500_000)
    store = seen()
    (only,) = store.conversation("c").spans
    assert (only.start_ns, only.end_ns, only.duration_ms) == (began, began + 1_500_000, 1.5)
    (summary,) = store.summaries()
    assert (summary.start, summary.duration_ms) == (utc(began), 1.5)
    assert summary.start.tzinfo is UTC


def test_the_id_of_a_span_or_a_trace_names_its_conversation(seen, script):
    """A conversation is found by the id of one of its spans, turns or traces."""
    script.turn("case-1")
    script.turn("case-2")
    store = seen()
    span = store.conversation("case-2").spans[-1]
    for name in (span.span_id, span.trace_id, span.turn_id):
        assert "case-2" == store.conversation(name).conversation_id
    with pytest.raises(NotFoundError, match="'0123abcd'"):
        store.conversation("0123abcd")
