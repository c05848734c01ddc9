"""Real OpenAI and Anthropic clients, against a server on loopback that speaks as theirs do."""

import contextlib
import json

import openai
import orjson
import pydantic
import pytest
from played_providers import ASKED, CHAT_ASKED, MESSAGE_ASKED, RESPONSE_ASKED, WEATHER, Status, text

import auditlog
from auditlog import clients
from auditlog.chat import chat_of

WHOLE = {
    "chat create": ("gpt", "chat.completions", lambda c: text(c.chat.completions.create(**CHAT_ASKED))),
    "chat parse": (
        "gpt",
        "chat.completions",
        lambda c: text(c.chat.completions.parse(**CHAT_ASKED, response_format=Status)),
    ),
    "chat beta parse": (
        "gpt",
        "chat.completions",
        lambda c: text(c.beta.chat.completions.parse(**CHAT_ASKED, response_format=Status)),
    ),
    "chat with options": (
        "gpt",
        "chat.completions",
        lambda c: text(c.with_options(timeout=5).copy().chat.completions.create(**CHAT_ASKED)),
    ),
    "chat raw": (
        "gpt",
        "chat.completions",
        lambda c: text(c.chat.completions.with_raw_response.create(**CHAT_ASKED).parse()),
    ),
    "chat raw of client": (
        "gpt",
        "chat.completions",
        lambda c: text(c.with_raw_response.chat.completions.create(**CHAT_ASKED).parse()),
    ),
    "responses create": ("gpt", "responses", lambda c: text(c.responses.create(**RESPONSE_ASKED))),
    "responses parse": (
        "gpt",
        "responses",
        lambda c: text(c.responses.parse(**RESPONSE_ASKED, text_format=Status)),
    ),
    "messages create": ("claude", "messages", lambda c: text(c.messages.create(**MESSAGE_ASKED))),
    "messages beta": ("claude", "messages", lambda c: text(c.beta.messages.create(**MESSAGE_ASKED))),
    "messages parse": (
        "claude",
        "messages",
        lambda c: text(c.messages.parse(**MESSAGE_ASKED, output_format=Status)),
    ),
    "messages raw": (
        "claude",
        "messages",
        lambda c: text(c.messages.with_raw_response.create(**MESSAGE_ASKED).parse()),
    ),
    "messages with options": (
        "claude",
        "messages",
        lambda c: text(c.with_options(max_retries=1).messages.create(**MESSAGE_ASKED)),
    ),
}


@pytest.mark.parametrize("way", WHOLE)
def test_every_way_to_ask_is_recorded_once(recording, request, way):
    """Whatever helper a caller uses, one model call is recorded, with what was sent and what came back."""
    client, name, ask = WHOLE[way]

    @auditlog.agent
    def bot():
        return ask(request.getfixturevalue(client))

    assert WEATHER == bot()
    bot_row, row = recording.rows
    assert (name, "ok", "small", "small-0611", 12, 3) == (
        row["name"],
        row["status"],
        row["model_requested"],
        row["model_served"],
        row["input_tokens"],
        row["output_tokens"],
    )
    assert bot_row["span_id"] == row["parent_span_id"]
    assert not row["lossy"]
    chat = chat_of(orjson.loads(row["input"]), orjson.loads(row["output"]))
    assert [("user", "Where is it?")] == [(m.role, m.text) for m in chat.input_messages]
    assert [("assistant", WEATHER)] == [(m.role, m.text) for m in chat.output_messages]
    assert b"sk-none" not in b"".join(recording.sink.payloads)


async def test_an_asynchronous_openai_client_is_recorded(recording, gpt_later):
    """Of the asynchronous client too, each way to ask is one model call."""
    client = gpt_later
    assert WEATHER == text(await client.chat.completions.parse(**CHAT_ASKED, response_format=Status))
    assert WEATHER == text(await client.with_options(timeout=5).responses.create(**RESPONSE_ASKED))
    assert WEATHER == text((await client.chat.completions.with_raw_response.create(**CHAT_ASKED)).parse())
    stream = await client.chat.completions.create(**CHAT_ASKED, stream=True)
    assert isinstance(stream, openai.AsyncStream)
    assert WEATHER == "".join([chunk.choices[0].delta.content async for chunk in stream])
    async with client.chat.completions.stream(**CHAT_ASKED) as helper:
        assert WEATHER == (await helper.get_final_completion()).choices[0].message.content
    async with client.responses.stream(**RESPONSE_ASKED) as helper:
        assert WEATHER == (await helper.get_final_response()).output_text
    async with client.chat.completions.with_streaming_response.create(**CHAT_ASKED, stream=True) as response:
        assert 3 == len([line async for line in response.iter_lines() if line.startswith("data:")])
    names = [(row["name"], row["status"], row["model_served"]) for row in recording.rows]
    chat, responses = ("chat.completions", "ok", "small-0611"), ("responses", "ok", "small-0611")
    assert [chat, responses, chat, chat, chat, responses, chat] == names


async def test_an_asynchronous_anthropic_client_is_recorded(recording, claude_later):
    """Anthropic's asynchronous client is recorded in the same ways."""
    client = claude_later
    assert WEATHER == text(await client.messages.create(**MESSAGE_ASKED))
    async with client.messages.stream(**MESSAGE_ASKED) as stream:
        assert WEATHER == "".join([piece async for piece in stream.text_stream])
    async with client.messages.stream(**MESSAGE_ASKED) as stream:
        await anext(stream)
    rows = recording.rows
    assert [("messages", "ok", "small-0611")] * 3 == [
        (row["name"], row["status"], row["model_served"]) for row in rows
    ]
    assert [7, 1] == [len(orjson.loads(row["output"])) for row in rows[1:]]


def test_a_client_that_was_used_before_is_recorded(recording, address):
    """Resources that a client made before it was wrapped are recorded, too, and wrapping twice records once."""
    with openai.OpenAI(api_key="sk-none", base_url=f"{address}/v1", max_retries=0) as client:
        completions = client.chat.completions
        assert WEATHER == text(auditlog.wrap(client).chat.completions.create(**CHAT_ASKED))
        auditlog.wrap(auditlog.wrap(client))
        assert WEATHER == text(completions.create(**CHAT_ASKED))
    assert 2 == len(recording.rows)


def test_what_is_not_recorded_is_said_once(recording, gpt, claude, caplog):
    """Another endpoint passes through unrecorded, and the log says so once for each."""
    clients._say_unrecorded.cache_clear()
    for _ in range(2):
        gpt.embeddings.create(model="small", input="x", encoding_format="float")
        claude.messages.count_tokens(model="small", messages=ASKED)
    assert [] == recording.rows
    assert ["'embeddings'", "'messages/count_tokens'"] == [
        record.message.split(" to ")[1].split(" is ")[0] for record in caplog.records
    ]


def test_an_answer_that_does_not_parse_was_an_answer(recording, gpt):
    """Where the helper `parse` refuses what the model said, the caller gets its error, and the answer is recorded."""

    class Other(pydantic.BaseModel):
        number: int

    with pytest.raises(pydantic.ValidationError):
        gpt.chat.completions.parse(**CHAT_ASKED, response_format=Other)
    (row,) = recording.rows
    assert ("ok", 12) == (row["status"], row["input_tokens"])


def test_where_requests_go_and_that_something_is_added_is_recorded(recording, address):
    """Host and port are attributes; headers and queries that are added make a digest, and credentials among them none."""

    def asked(headers=None, **options):
        base = f"{address}/v1"
        with openai.OpenAI(api_key="k", base_url=base, default_headers=headers) as client:
            auditlog.wrap(client).chat.completions.create(model="small", messages=ASKED, **options)
        return json.loads(recording.rows[-1]["attributes"])

    plain = asked()
    assert ("127.0.0.1", int(address.rpartition(":")[2])) == (plain["server.address"], plain["server.port"])
    digests = [
        found.get("auditlog.request.added_digest")
        for found in (
            plain,
            asked(extra_headers={"authorization": "Bearer other"}),
            asked(extra_headers={"x-beta": "on"}),
            asked(extra_headers={"x-beta": "off"}),
            asked(extra_query={"v": "2"}),
            asked({"x-beta": "on"}),
        )
    ]
    assert [None, None] == digests[:2]
    assert 3 == len(set(digests[2:5]))
    assert digests[2] == digests[5]


def test_two_deployments_behind_one_gateway_are_told_apart(recording, address):
    """What a client's requests are below its host is recorded where that is not as usual."""

    def path(below):
        base = f"{address}{below}"
        with (
            openai.OpenAI(api_key="k", base_url=base, max_retries=0) as client,
            contextlib.suppress(openai.APIStatusError),
        ):
            auditlog.wrap(client).chat.completions.create(model="small", messages=ASKED)
        return json.loads(recording.rows[-1]["attributes"]).get("auditlog.server.path")

    assert [None, "/deployments/a/v1/", "/deployments/b/v1/"] == [
        path(below) for below in ("/v1", "/deployments/a/v1", "/deployments/b/v1")
    ]
