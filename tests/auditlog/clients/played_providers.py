"""A server that speaks as OpenAI and Anthropic do, what it answers, and what it is asked."""

import json
from http.server import BaseHTTPRequestHandler

import openai
import pydantic

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


class Status(pydantic.BaseModel):
    """What the model is asked to answer with."""

    status: str


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
