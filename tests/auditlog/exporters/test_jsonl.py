"""Conversations as JSON lines, for people and scripts."""

import json

from auditlog.exporters import FORMATS, jsonl
from auditlog.store.build import turns_of
from auditlog.values import Conversation, Span


def test_a_conversation_is_one_line_with_what_it_holds():
    """Fields have the names of the values, empty ones are left out, and times can be read."""
    span = Span(
        trace_id="t",
        span_id="s",
        kind="agent",
        name="bot",
        start_ns=1_500_000_000_000_000_000,
        end_ns=1_500_000_001_000_000_000,
        input={"question": "Hi"},
        output="Hello",
        tags={"arm": "base"},
    )
    (line,) = jsonl.lines([Conversation("c-1", turns_of([span]))])
    assert line.endswith(b"}\n")
    assert {
        "conversation_id": "c-1",
        "tags": {"arm": "base"},
        "turns": [
            {
                "index": 0,
                "turn_id": "s",
                "user_text": "Hi",
                "answer_text": "Hello",
                "status": "ok",
                "spans": [
                    {
                        "start": "2017-07-14T02:40:00+00:00",
                        "end": "2017-07-14T02:40:01+00:00",
                        "trace_id": "t",
                        "span_id": "s",
                        "kind": "agent",
                        "name": "bot",
                        "status": "ok",
                        "start_ns": 1_500_000_000_000_000_000,
                        "end_ns": 1_500_000_001_000_000_000,
                        "source": "decorator",
                        "usage": {},
                        "lossy": False,
                        "stream": False,
                        "erased": False,
                        "input": {"question": "Hi"},
                        "output": "Hello",
                        "tags": {"arm": "base"},
                    }
                ],
            }
        ],
    } == json.loads(line)


def test_every_exporter_gives_whole_lines():
    """Each line ends with a newline, so that lines can be written one after the other."""
    span = Span(trace_id="a" * 32, span_id="b" * 16, start_ns=1, end_ns=2, output="a\nb")
    for lines in FORMATS.values():
        (line,) = lines([Conversation("c-1", turns_of([span]))])
        assert (1, b"\n") == (line.count(b"\n"), line[-1:])
