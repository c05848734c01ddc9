"""Streams of real OpenAI and Anthropic clients, however they are read, recorded and served again."""

import gc
import json

import anthropic
import openai
import orjson
import pydantic
import pytest
from played_providers import (
    CHAT,
    CHAT_ASKED,
    CHAT_CHUNKS,
    MESSAGE_ASKED,
    MESSAGE_EVENTS,
    RESPONSE_ASKED,
    RESPONSE_EVENTS,
    WEATHER,
    Status,
    text,
)

from auditlog import interception
from auditlog.chat import chat_of
from auditlog.interception import Served


def chat_helper(client):
    """Read OpenAI's helper for chat streams by its events."""
    with client.chat.completions.stream(**CHAT_ASKED) as stream:
        return "".join(event.delta for event in stream if event.type == "content.delta")


def chat_final(client):
    """Let OpenAI's helper read the stream itself."""
    with client.chat.completions.stream(**CHAT_ASKED, response_format=Status) as stream:
        return stream.get_final_completion().choices[0].message.parsed.model_dump_json()


def responses_helper(client):
    """Read OpenAI's helper for responses."""
    with client.responses.stream(**RESPONSE_ASKED) as stream:
        return stream.get_final_response().output_text


def messages_helper(client):
    """Read Anthropic's helper by its text."""
    with client.messages.stream(**MESSAGE_ASKED) as stream:
        return "".join(stream.text_stream)


def messages_final(client):
    """Let Anthropic's helper read the stream itself."""
    with client.beta.messages.stream(**MESSAGE_ASKED) as stream:
        return stream.get_final_text()


def chat_stream(client):
    """Read a plain stream, which stays an instance of the client's class."""
    stream = client.chat.completions.create(**CHAT_ASKED, stream=True)
    assert isinstance(stream, openai.Stream)
    return "".join(chunk.choices[0].delta.content for chunk in stream)


def chat_raw_stream(client):
    """Read the stream of a raw response."""
    raw = client.chat.completions.with_raw_response.create(**CHAT_ASKED, stream=True)
    return "".join(chunk.choices[0].delta.content for chunk in raw.parse())


def chat_lines(client):
    """Read a streamed response line by line."""
    with client.chat.completions.with_streaming_response.create(**CHAT_ASKED, stream=True) as response:
        lines = [json.loads(line[5:]) for line in response.iter_lines() if line.startswith("data: {")]
    return "".join(line["choices"][0]["delta"]["content"] for line in lines)


def messages_streamed(client):
    """Parse a streamed response of Anthropic's into its stream."""
    with client.messages.with_streaming_response.create(**MESSAGE_ASKED, stream=True) as response:
        return "".join(e.delta.text for e in response.parse() if e.type == "content_block_delta")


STREAMS = {
    "gpt": (chat_helper, chat_final, responses_helper, chat_stream, chat_raw_stream, chat_lines),
    "claude": (messages_helper, messages_final, messages_streamed),
}


@pytest.mark.parametrize(("client", "read"), [(c, read) for c, reads in STREAMS.items() for read in reads])
def test_every_way_to_stream_is_recorded_once(recording, request, client, read):
    """A stream is recorded with all that came, whether its reader reads it or a helper does."""
    assert WEATHER == read(request.getfixturevalue(client))
    (row,) = recording.rows
    events = {
        "chat.completions": CHAT_CHUNKS,
        "responses": RESPONSE_EVENTS,
        "messages": MESSAGE_EVENTS,
    }[row["name"]]
    assert ("ok", "small-0611", True) == (row["status"], row["model_served"], row["stream"])
    output = orjson.loads(row["output"])
    assert len(events) == len(output)
    assert [("assistant", WEATHER)] == [(m.role, m.text) for m in chat_of({}, output).output_messages]
    assert "auditlog.stream.abandoned" not in orjson.loads(row["attributes"])


def test_a_streamed_response_that_is_no_stream_is_recorded(recording, gpt):
    """The body of a streamed response is recorded when it was read."""
    with gpt.chat.completions.with_streaming_response.create(**CHAT_ASKED) as response:
        assert WEATHER == text(response.parse())
    (row,) = recording.rows
    assert ("ok", "small-0611", 12) == (row["status"], row["model_served"], row["input_tokens"])


@pytest.mark.parametrize("way", ["chat", "messages"])
def test_a_helper_that_is_left_half_way_ends_its_record(recording, gpt, claude, way):
    """Leaving the helper's `with` ends the record there, and says that the stream was abandoned."""
    if way == "chat":
        with gpt.chat.completions.stream(**CHAT_ASKED) as stream:
            next(stream)
    else:
        with claude.messages.stream(**MESSAGE_ASKED) as stream:
            next(iter(stream))
    (row,) = recording.rows
    assert "ok" == row["status"]
    assert orjson.loads(row["attributes"])["auditlog.stream.abandoned"]


def test_a_stream_that_is_forgotten_ends_its_record(recording, gpt):
    """A stream of which one chunk was read, and then nothing, is recorded with that chunk."""
    next(gpt.chat.completions.create(**CHAT_ASKED, stream=True))
    gc.collect()
    (row,) = recording.rows
    assert 1 == len(orjson.loads(row["output"]))


class Serving:
    """Answers every call from a recording."""

    def __init__(self, value):
        """Serve a value."""
        self.value = value

    def before(self, call):
        """Answer."""
        return Served(self.value)


def test_a_replay_answers_every_helper(recording, gpt, claude):
    """What was recorded is handed out through the helpers as through `create`, and nobody is asked."""
    interception.install(Serving(CHAT))
    parsed = gpt.chat.completions.parse(**CHAT_ASKED, response_format=Status)
    assert Status(status="Shipped.") == parsed.choices[0].message.parsed
    assert WEATHER == text(gpt.chat.completions.with_raw_response.create(**CHAT_ASKED).parse())
    interception.uninstall()
    chunks = [openai.types.chat.ChatCompletionChunk.construct(**chunk) for chunk in CHAT_CHUNKS]
    interception.install(Serving(chunks))
    assert WEATHER == chat_final(gpt)
    interception.uninstall()
    adapter = pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent)
    interception.install(Serving([adapter.validate_python(event) for event in MESSAGE_EVENTS]))
    assert WEATHER == messages_helper(claude)


async def test_a_replay_answers_asynchronous_helpers(recording, claude_later):
    """The same for an asynchronous client."""
    adapter = pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent)
    interception.install(Serving([adapter.validate_python(event) for event in MESSAGE_EVENTS]))
    async with claude_later.messages.stream(**MESSAGE_ASKED) as stream:
        assert WEATHER == await stream.get_final_text()
