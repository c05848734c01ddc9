"""The transcript's blocks: what a call shows in how many lines, and what `/` finds in it."""

import pytest

from auditlog.values import Document, Fault, Message, Part, Span, Turn, Usage
from tui.render import evidence, transcript, waterfall

AGENT = Span(
    trace_id="t", span_id="a", kind="agent", name="bot", input={"question": "Why?"}, output="So.", end_ns=10
)


def shown(span, width=80):
    """Lay a call of a turn out, and give its lines."""
    turn = Turn(AGENT, (AGENT, span))
    block = next(block for block in transcript.turn_blocks(turn) if block.key == span.span_id)
    return [line.text for line in block.draw(width)], block


def call(**facts):
    """Give a call below the agent."""
    return Span(**{"trace_id": "t", "span_id": "s", "parent_span_id": "a", "end_ns": 2_000_000, **facts})


def test_a_turn_reads_as_it_was_said():
    """The heading comes first, then the user, the calls, and the agent."""
    turn = Turn(
        AGENT, (AGENT, call(kind="tool", name="look", effect="read", input={"id": 1}, output={"x": 2}))
    )
    assert [line.text for block in transcript.turn_blocks(turn) for line in block.draw(60)] == [
        "── turn 1 · 00:00:00 · 0 ms · ✓ ok ─────────────────────────",
        "user    Why?",
        "  ● tool look id=1 read 2 ms",
        '      → {"x":2}',
        "agent   So.",
    ]


def test_what_was_erased_is_said_where_it_stood():
    """A turn without its content says so, and does not look like one in which nothing was said."""
    agent = Span(trace_id="t", span_id="a", kind="agent", name="bot", end_ns=10, erased=True)
    turn = Turn(agent, (agent, call(kind="tool", name="pay", effect="write", erased=True)))
    assert [line.text for block in transcript.turn_blocks(turn)[1:] for line in block.draw(60)] == [
        "user    (its content is gone: erased or pruned)",
        "  ● tool pay write 2 ms",
        "      (its content is gone: erased or pruned)",
        "agent   (its content is gone: erased or pruned)",
    ]


@pytest.mark.parametrize("width", [20, 30, 60, 100])
def test_no_call_has_a_blank_line(width):
    """A narrow window clips a call's facts and leaves no empty line."""
    model = call(kind="model", model_requested="m" * 30, model_served="n" * 30, usage=Usage(512, 88))
    lines, _ = shown(model, width)
    assert all(line.strip() for line in lines)
    assert len(lines) == 1


def test_documents_stand_under_the_retrieval():
    """Each retrieved document has a line with score and id; many are counted."""
    documents = tuple(Document(f"doc-{n}", "words " * 50, 0.5, "help") for n in range(11))
    lines, block = shown(call(kind="retriever", name="help", input={"query": "why"}, documents=documents))
    assert lines[0] == '  ≡ retriever help "why" 2 ms'
    assert lines[1].startswith("      0.50 doc-0  words words")
    assert lines[-1] == "      … 3 more documents"
    assert "doc-10" in block.whole_text


def test_a_failed_call_says_so_in_words():
    """An error has its glyph, its word and its message."""
    lines, _ = shown(call(kind="tool", name="pay", status="error", fault=Fault("LimitError", "too much")))
    assert lines == ["  ● tool pay effect? 2 ms ✗ error", "      LimitError: too much"]


def test_an_undeclared_effect_is_shown():
    """A tool without a declared effect does not look like a read."""
    assert "effect?" in shown(call(kind="tool", name="pay"))[0][0]
    assert " read " in shown(call(kind="tool", name="look", effect="read"))[0][0]


def test_a_model_names_what_it_calls_and_what_was_served():
    """A model call shows both names of the model where they differ, and the tools it asked for."""
    part = Part("tool_call", name="pay", arguments={})
    lines, _ = shown(
        call(
            kind="model",
            model_requested="a",
            model_served="b",
            output_messages=(Message("assistant", (part,)),),
        )
    )
    assert lines == ["  ◇ model a → b calls pay 2 ms"]


def test_calls_inside_calls_are_indented():
    """A call of a call stands further in, also where the parents form a circle."""
    outer = call(span_id="o", kind="agent", name="helper")
    inner = call(span_id="i", parent_span_id="o", kind="tool", name="look", effect="read")
    lost = call(span_id="l", parent_span_id="l", kind="tool", name="odd", effect="read")
    turn = Turn(AGENT, (AGENT, outer, inner, lost))
    heads = [b.draw(60)[0].text for b in transcript.turn_blocks(turn) if b.key in ("o", "i", "l")]
    assert [len(head) - len(head.lstrip()) for head in heads] == [2, 4, 2]


def test_an_imported_history_is_shown_once():
    """A conversation that came as one call shows the messages before the last, and the last one once."""
    said = tuple(
        Message(role, (Part("text", text),))
        for role, text in (("user", "one"), ("assistant", "two"), ("user", "three"))
    )
    agent = Span(trace_id="t", span_id="a", kind="agent", input_messages=said, output="four", end_ns=1)
    texts = [line.text for block in transcript.turn_blocks(Turn(agent, (agent,))) for line in block.draw(60)]
    assert texts[1:] == ["user    one", "agent   two", "user    three", "agent   four"]


def test_evidence_names_both_models_the_prompt_and_where_the_record_is():
    """The evidence of a model call has what was requested and served, the prompt's version, tokens and the segment."""
    span = call(
        kind="model",
        name="chat",
        model_requested="a",
        model_served="b",
        prompt_name="greeting",
        prompt_version="3",
        usage=Usage(10, 5, cache_read_tokens=4),
        segment="segments/x.parquet",
    )
    text = "\n".join(line.text for line in evidence.of_span(span, 60))
    for fact in ("requested  a", "served     b", "greeting 3", "10→5, 4 cached", "segments/x.parquet"):
        assert fact in text


def test_bars_fit_their_window():
    """A waterfall's bars share one scale and fit, also those of calls that never ended."""
    spans = (
        AGENT,
        call(kind="tool", name="a" * 99, start_ns=5),
        call(span_id="z", end_ns=None, start_ns=9, status="incomplete"),
    )
    for width in (30, 60, 120):
        for block in waterfall.blocks(Turn(AGENT, spans)):
            (line,) = block.draw(width)
            assert line.width <= width
            assert "█" in line.text or "░" in line.text
