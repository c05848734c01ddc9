"""Real OpenAI and Anthropic clients, against a server on loopback that speaks as theirs do."""

import contextlib
import gc
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import orjson
import pydantic
import pytest

import auditlog
from auditlog import clients, interception
from auditlog.chat import chat_of
from auditlog.interception import Served

ASKED = [{"role": "user", "content": "Where is it?"}]
WEATHER = '{"status":"Shipped."}'

CHAT = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-0611",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": WEATHER}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
CHAT_CHUNKS = [
    {
        "id": "c-2",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small-0611",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}],
    }
    for text, reason in (('{"status":', None), ('"Shipped."}', "stop"))
]
RESPONSE = {
    "id": "r-1",
    "object": "response",
    "created_at": 1,
    "model": "small-0611",
    "status": "completed",
    "output": [
        {
            "id": "m-1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": WEATHER, "annotations": []}],
        }
    ],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 12,
        "output_tokens": 3,
        "total_tokens": 15,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
_EMPTY_ITEM = {**RESPONSE["output"][0], "content": [], "status": "in_progress"}
_TEXT = {"type": "output_text", "text": "", "annotations": []}
_AT = {"item_id": "m-1", "output_index": 0, "content_index": 0}
RESPONSE_EVENTS = [
    {
        "type": "response.created",
        "response": {**RESPONSE, "output": [], "status": "in_progress", "usage": None},
    },
    {"type": "response.output_item.added", "output_index": 0, "item": _EMPTY_ITEM},
    {"type": "response.content_part.added", **_AT, "part": _TEXT},
    {"type": "response.output_text.delta", **_AT, "delta": WEATHER, "logprobs": []},
    {"type": "response.output_text.done", **_AT, "text": WEATHER, "logprobs": []},
    {"type": "response.completed", "response": RESPONSE},
]
MESSAGE = {
    "id": "m-1",
    "type": "message",
    "role": "assistant",
    "model": "small-0611",
    "content": [{"type": "text", "text": WEATHER}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 3},
}
MESSAGE_EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": '{"status":'}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": '"Shipped."}'}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]
ANSWERS = {
    "/v1/chat/completions": (CHAT, CHAT_CHUNKS),
    "/v1/responses": (RESPONSE, RESPONSE_EVENTS),
    "/v1/messages": (MESSAGE, MESSAGE_EVENTS),
}


class Provider(BaseHTTPRequestHandler):
    """Answers as both providers do."""

    def do_POST(self):
        """Answer whole, or as a stream of events."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        if path not in ANSWERS:
            self.answer(200, "application/json", b'{"object":"list","data":[],"model":"m","input_tokens":7}')
            return
        whole, events = ANSWERS[path]
        if not asked.get("stream"):
            self.answer(200, "application/json", json.dumps(whole).encode())
            return
        lines = []
        for number, event in enumerate(events):
            numbered = {**event, "sequence_number": number} if path == "/v1/responses" else event
            lines += [f"event: {event['type']}\n"] if "type" in event else []
            lines.append(f"data: {json.dumps(numbered)}\n\n")
        lines += ["data: [DONE]\n\n"] if path != "/v1/messages" else []
        self.answer(200, "text/event-stream", "".join(lines).encode())

    def answer(self, status, kind, content):
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.send_header("request-id", "q-1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    """Where the server is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Status(pydantic.BaseModel):
    """What the model is asked to answer with."""

    status: str


@pytest.fixture
def gpt(address):
    """A wrapped OpenAI client."""
    with openai.OpenAI(api_key="sk-none", base_url=f"{address}/v1", max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
def claude(address):
    """A wrapped Anthropic client."""
    with anthropic.Anthropic(api_key="none", base_url=address, max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
async def gpt_later(address):
    """A wrapped asynchronous OpenAI client."""
    async with openai.AsyncOpenAI(api_key="sk-none", base_url=f"{address}/v1", max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
async def claude_later(address):
    """A wrapped asynchronous Anthropic client."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=address, max_retries=0) as client:
        yield auditlog.wrap(client)


CHAT_ASKED = {"model": "small", "messages": ASKED}
RESPONSE_ASKED = {"model": "small", "input": "Where is it?"}
MESSAGE_ASKED = {"model": "small", "max_tokens": 10, "messages": ASKED}


def text(value):
    """Give what a client's answer says."""
    match value:
        case openai.types.chat.ChatCompletion():
            return value.choices[0].message.content
        case openai.types.responses.Response():
            return value.output_text
        case _:
            return value.content[0].text


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
