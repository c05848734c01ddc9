"""A wrapped client records what it asks a model and what it got, and answers as before."""

import gc
import types

import httpx
import openai
import orjson
import pytest

import auditlog
from auditlog import interception
from auditlog.errors import ConfigurationError
from auditlog.interception import Served

ANSWER = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-0611",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Shipped."}}
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
CHUNKS = [
    {
        "id": "c-2",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small-0611",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}],
    }
    for text, reason in (("Ship", None), ("ped.", "stop"))
]
ASKED = {"model": "small", "messages": [{"role": "user", "content": "Where is it?"}]}


def serve(request):
    """Answer as the provider would."""
    asked = orjson.loads(request.content)
    if asked["messages"][0]["content"] == "fail":
        return httpx.Response(401, json={"error": {"message": "no"}})
    if asked.get("stream"):
        lines = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in CHUNKS)
        return httpx.Response(
            200, content=lines + b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"}
        )
    return httpx.Response(200, json=ANSWER)


@pytest.fixture
def client():
    """A real client that talks to nobody, wrapped."""
    with httpx.Client(transport=httpx.MockTransport(serve)) as http:
        yield auditlog.wrap(openai.OpenAI(api_key="none", http_client=http, max_retries=0))


def make_async():
    """Make a real asynchronous client that talks to nobody, wrapped."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    return auditlog.wrap(openai.AsyncOpenAI(api_key="none", http_client=http, max_retries=0))


def part(row, name):
    """Decode a content column."""
    return orjson.loads(row[name])


def test_an_answer_is_handed_out_and_recorded(recording, client):
    """The caller gets the client's object; the record has arguments, answer, tokens and provider, and no headers."""

    @auditlog.agent
    def bot():
        return client.chat.completions.create(**ASKED, temperature=0.5, extra_headers={"x-key": "secret"})

    answer = bot()
    assert "Shipped." == answer.choices[0].message.content
    row = recording.named("chat.completions")
    assert {**ASKED, "temperature": 0.5} == part(row, "input")
    assert "Shipped." == part(row, "output")["choices"][0]["message"]["content"]
    assert ("model", "openai", "small", "small-0611", 12, 3) == (
        row["kind"],
        row["provider"],
        row["model_requested"],
        row["model_served"],
        row["input_tokens"],
        row["output_tokens"],
    )
    assert recording.named("bot")["span_id"] == row["parent_span_id"]


@pytest.mark.parametrize("leave", ["exhaust", "close", "with", "forget"])
def test_a_stream_is_recorded_however_it_ends(recording, client, leave):
    """A stream's items are recorded when it ends, is closed, or is forgotten; it can do what the client's can."""
    stream = client.chat.completions.create(**ASKED, stream=True)
    assert 200 == stream.response.status_code
    if leave == "exhaust":
        assert "Shipped." == "".join(chunk.choices[0].delta.content for chunk in stream)
    elif leave == "with":
        with stream:
            next(stream)
    else:
        next(stream)
        stream.close() if leave == "close" else None
    del stream
    gc.collect()
    row = recording.named("chat.completions")
    assert ("ok", 2 if leave == "exhaust" else 1) == (row["status"], len(part(row, "output")))
    assert row["stream"]
    assert (leave != "exhaust") == ("auditlog.stream.abandoned" in part(row, "attributes"))


async def test_an_asynchronous_client_is_recorded(recording):
    """Awaited answers and asynchronous streams are recorded with their durations and parents."""
    client = make_async()

    @auditlog.agent
    async def bot():
        answer = await client.chat.completions.create(**ASKED)
        stream = await client.chat.completions.create(**ASKED, stream=True)
        async with stream:
            return answer.choices[0].message.content, [c.choices[0].delta.content async for c in stream]

    assert ("Shipped.", ["Ship", "ped."]) == await bot()
    rows = [row for row in recording.rows if row["name"] == "chat.completions"]
    assert [("ok", recording.named("bot")["span_id"])] * 2 == [
        (row["status"], row["parent_span_id"]) for row in rows
    ]
    assert 2 == len(part(rows[1], "output"))


def test_an_error_is_the_clients_own(recording, client):
    """What the client raises passes through, and is recorded."""
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="small", messages=[{"role": "user", "content": "fail"}])
    row = recording.named("chat.completions")
    assert ("error", "openai.AuthenticationError") == (row["status"], part(row, "error")["type"])


def test_any_client_of_the_shape_will_do(recording):
    """A client is told by what it has: Anthropic's `messages.create` is recorded the same way, once."""

    def create(**asked):
        return {"model": "m-1", "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 2}}

    client = types.SimpleNamespace(messages=types.SimpleNamespace(create=create))
    auditlog.wrap(auditlog.wrap(client)).messages.create(model="m", system="Be kind.", messages=[])
    (row,) = recording.rows
    assert (5, 2, "m-1") == (row["input_tokens"], row["output_tokens"], row["model_served"])


def test_what_is_no_client_is_refused():
    """An object without any of the methods is a ConfigurationError that names them."""
    with pytest.raises(ConfigurationError, match=r"chat\.completions\.create"):
        auditlog.wrap(object())


def test_unconfigured_it_is_the_client_itself(client):
    """Where nothing records, a call is the client's own."""
    assert "Shipped." == client.chat.completions.create(**ASKED).choices[0].message.content


class Serving:
    """Answers every call from a recording."""

    def __init__(self, value):
        """Serve a value."""
        self.value = value

    def before(self, call):
        """Answer."""
        return Served(self.value)


async def test_a_replay_answers_in_its_place(recording, client):
    """In a replay, neither client is called: an answer, a stream and their awaitables come from the recording."""
    interception.install(Serving("recorded"))
    assert "recorded" == client.chat.completions.create(**ASKED)
    assert "recorded" == await make_async().chat.completions.create(**ASKED)
    interception.uninstall()
    interception.install(Serving([1, 2]))
    assert [1, 2] == list(client.chat.completions.create(**ASKED, stream=True))
    stream = await make_async().chat.completions.create(**ASKED, stream=True)
    assert [1, 2] == [item async for item in stream]
    del stream
    gc.collect()
    outputs = [part(row, "output") for row in recording.rows]
    assert ["recorded", "recorded", [1, 2], [1, 2]] == outputs
