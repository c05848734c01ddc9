"""A decorated generator or coroutine stays one, and is recorded as it goes, wherever it stops."""

import asyncio
import json

import pytest

import auditlog


def test_a_stream_is_recorded_item_by_item(recording):
    """A generator's output is the list of what it yielded, with the time to its first item."""

    @auditlog.model(provider="openai")
    def stream(messages, model="m-1"):
        got = yield "Hel"
        assert "sent" == got
        yield "lo"
        return 7

    source = stream([{"role": "user", "content": "hi"}])
    assert "Hel" == next(source)
    assert "lo" == source.send("sent")
    with pytest.raises(StopIteration) as stop:
        next(source)
    assert 7 == stop.value.value
    row = recording.named("stream")
    assert ["Hel", "lo"] == json.loads(row["output"])
    assert (True, "m-1", "openai") == (row["stream"], row["model_requested"], row["provider"])
    assert row["ttft_ms"] > 0


def test_the_consumer_of_a_stream_is_not_inside_it(recording):
    """What a consumer calls between two items belongs to the consumer."""

    @auditlog.tool
    def inside():
        return 1

    @auditlog.tool
    def outside():
        return 2

    @auditlog.model
    def stream(messages):
        inside()
        yield "a"
        yield "b"

    @auditlog.agent("bot")
    def answer(question):
        for _ in stream([]):
            outside()

    answer("hi")
    assert recording.named("stream")["span_id"] == recording.named("inside")["parent_span_id"]
    outsides = [row for row in recording.rows if row["name"] == "outside"]
    assert [recording.named("bot")["span_id"]] * 2 == [row["parent_span_id"] for row in outsides]


def test_a_stream_left_half_way_keeps_what_it_gave(recording):
    """Closing a stream early ends its record with the items so far and closes the source."""
    closed = []

    @auditlog.model
    def stream(messages):
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    source = stream([])
    next(source)
    source.close()
    row = recording.named("stream")
    assert ("ok", ["a"], [True]) == (row["status"], json.loads(row["output"]), closed)
    assert json.loads(row["attributes"])["auditlog.stream.abandoned"]


def test_an_async_stream_has_a_duration_and_its_parents(recording):
    """An async generator lasts until its end, and its inner calls are its children."""

    @auditlog.tool
    async def inside():
        return 1

    @auditlog.model
    async def stream(messages):
        await inside()
        yield "a"
        await asyncio.sleep(0.01)
        yield "b"

    async def consume():
        return [item async for item in stream([])]

    assert ["a", "b"] == asyncio.run(consume())
    row = recording.named("stream")
    assert row["end_ns"] - row["start_ns"] >= 10_000_000
    assert row["span_id"] == recording.named("inside")["parent_span_id"]


def test_a_plain_function_that_hands_out_a_coroutine_lasts_until_it_ends(recording):
    """A function that returns an awaitable is recorded with the awaited result."""

    async def work():
        return 5

    @auditlog.tool
    def start():
        return work()

    assert 5 == asyncio.run(start())
    assert 5 == json.loads(recording.named("start")["output"])
