"""Real clients that nobody wrapped, against a model's server on the loopback: recorded and served as model calls."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import json
from typing import ClassVar

import anthropic
import openai
import pytest

import auditlog
from auditlog import interception, overrides
from auditlog.http_models import ModelRefusedError
from auditlog.interception import Raised, Served

ASKED = [{"role": "user", "content": "Where is it?"}]
CHAT = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-0611",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Here."}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
MESSAGE = {
    "id": "m-1",
    "type": "message",
    "role": "assistant",
    "model": "claude-small-0611",
    "content": [{"type": "text", "text": "Here."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 3},
}
CHUNKS = [
    {
        **CHAT,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    for text in ("He", "re.")
]
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Here."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers as both providers do."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list] = []

    def do_POST(self):
        """Answer whole, in a stream, or with an error."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(asked)
        whole, events = (CHAT, CHUNKS) if "chat" in self.path else (MESSAGE, EVENTS)
        kind, status = "application/json", 200
        if asked["model"] == "busy":
            body, status = b'{"error": {"message": "slow down"}}', 429
        elif asked.get("stream"):
            kind = "text/event-stream"
            body = b"".join(
                (f"event: {event['type']}\n" if "type" in event else "").encode()
                + f"data: {json.dumps(event)}\n\n".encode()
                for event in events
            )
            body += b"data: [DONE]\n\n" if whole is CHAT else b""
        else:
            body = json.dumps(whole).encode()
        zipped = asked["model"] == "zipped"
        body = gzip.compress(body) if zipped else body
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if zipped:
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def address(serve_recorded):
    """Where the server is; HTTP is recorded meanwhile."""
    Provider.seen.clear()
    return serve_recorded(Provider)


def by_openai(address, model="small"):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        return client.chat.completions.create(model=model, messages=ASKED).choices[0].message.content


def by_openai_stream(address, model="small"):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(model=model, messages=ASKED, stream=True)
        return "".join(chunk.choices[0].delta.content for chunk in answer)


def by_async_openai(address, model="small"):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            answer = await client.chat.completions.create(model=model, messages=ASKED, stream=True)
            return "".join([chunk.choices[0].delta.content async for chunk in answer])

    return asyncio.run(ask())


def by_anthropic(address, model="small"):
    with anthropic.Anthropic(base_url=address, api_key="none", max_retries=0) as client:
        return client.messages.create(model=model, messages=ASKED, max_tokens=9).content[0].text


def by_anthropic_stream(address, model="small"):
    with (
        anthropic.Anthropic(base_url=address, api_key="none", max_retries=0) as client,
        client.messages.stream(model=model, messages=ASKED, max_tokens=9) as stream,
    ):
        return "".join(stream.text_stream)


CLIENTS = [by_openai, by_openai_stream, by_async_openai, by_anthropic, by_anthropic_stream]


def in_a_turn(function):
    """Run a function as an agent's body."""
    return auditlog.agent("bot")(function)()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", ["small", "zipped"])
def test_an_unwrapped_client_is_recorded_as_a_model(client, model, address, recording):
    """Model, messages, tokens and the model served are there, whole or streamed, compressed or not; no tool is."""
    assert "Here." == in_a_turn(lambda: client(address, model))
    _, row = recording.rows
    assert ("model", "ok", model) == (row["kind"], row["status"], row["model_requested"])
    assert row["model_served"].endswith("small-0611")
    assert (12, 3) == (row["input_tokens"], row["output_tokens"])
    assert ASKED == json.loads(row["input"])["messages"]


class Replaying:
    """Answers model calls from what was recorded."""

    def __init__(self, answer):
        self.answer = answer

    def before(self, call):
        """Answer a call."""
        return self.answer if call.operation.kind == "model" else None


@pytest.fixture
def replaying():
    """Intercept this process's calls."""
    yield lambda answer: interception.install(Replaying(answer))
    interception.uninstall()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_recorded_answer_is_served_to_an_unwrapped_client(client, address, recording, replaying):
    """What was recorded comes out of the client again, in its own types, and the server is not asked."""
    in_a_turn(lambda: client(address))
    recorded = json.loads(recording.rows[1]["output"])
    Provider.seen.clear()
    replaying(Served(recorded))
    assert "Here." == in_a_turn(lambda: client(address))
    assert [] == Provider.seen
    assert recorded == json.loads(recording.rows[3]["output"])


@pytest.mark.parametrize("client", [by_openai, by_anthropic_stream])
def test_a_servers_error_is_recorded_and_served_as_one(client, address, recording, replaying):
    """A rate limit raises what the client raises for it, when it is recorded and when it is replayed."""
    refused = (openai.RateLimitError, anthropic.RateLimitError)
    with pytest.raises(refused):
        in_a_turn(lambda: client(address, "busy"))
    row = recording.rows[1]
    assert ("error", "auditlog.http_models.ModelRefusedError") == (row["status"], row["error_type"])
    said = json.loads(row["error"])["message"]
    assert "Error code: 429 - " in said
    replaying(Raised(ModelRefusedError(said)))
    with pytest.raises(refused):
        in_a_turn(lambda: client(address, "busy"))
    assert 1 == len(Provider.seen)


def test_a_candidates_model_is_asked_in_the_place_of_the_agents(address, recording):
    """An override is in the body that is sent, and in what is recorded."""
    overrides.install(overrides.Overrides(models=(("small", "large"),)))
    try:
        in_a_turn(lambda: by_openai(address))
    finally:
        overrides.install(overrides.Overrides())
    assert ["large"] == [asked["model"] for asked in Provider.seen]
    assert "large" == recording.rows[1]["model_requested"]


def test_a_wrapped_client_is_recorded_once(address, recording):
    """What `auditlog.wrap` records, its HTTP does not record again."""

    def body():
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
            auditlog.wrap(client).chat.completions.create(model="small", messages=ASKED)

    in_a_turn(body)
    assert ["agent", "model"] == [row["kind"] for row in recording.rows]
