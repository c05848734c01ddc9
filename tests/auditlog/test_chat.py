"""A model call is read as messages, whatever client made it."""

from auditlog.chat import chat_of
from auditlog.values import Message, Part

CALL = Message("assistant", (Part("tool_call", id="t-1", name="look_up", arguments={"order": "A-1"}),))


def test_tool_calls_of_a_chat_stream_are_put_together():
    """The pieces of a tool call's arguments become one call."""
    chunks = [
        {
            "choices": [
                {"delta": {"tool_calls": [{"index": 0, "id": "t-1", "function": {"name": "look_up"}}]}}
            ]
        },
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"order":'}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"A-1"}'}}]}}]},
        {"choices": []},
    ]
    assert (CALL,) == chat_of({}, chunks).output_messages


def test_anthropic_tool_use_is_a_tool_call():
    """A block of tool use is a tool call, whole and streamed; its result is the answer to it."""
    whole = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t-1", "name": "look_up", "input": {"order": "A-1"}}],
    }
    events = [
        {"type": "content_block_start", "index": 0, "content_block": {**whole["content"][0], "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"partial_json": '{"order":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"partial_json": '"A-1"}'}},
    ]
    assert [(CALL,)] * 2 == [chat_of({}, output).output_messages for output in (whole, events)]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t-1", "content": "late"}]}
    (heard,) = chat_of({"messages": [result]}, None).input_messages
    assert (Part("tool_call_response", id="t-1", response="late"),) == heard.parts


def test_responses_are_read_as_messages():
    """The items of a response and of its input are messages, tool calls and their answers."""
    item = {"type": "function_call", "call_id": "t-1", "name": "look_up", "arguments": '{"order":"A-1"}'}
    answer = {"type": "function_call_output", "call_id": "t-1", "output": "late"}
    asked = {"instructions": "Be kind.", "input": [{"role": "user", "content": "Where?"}, item, answer]}
    chat = chat_of(asked, {"object": "response", "output": [{"type": "reasoning"}, item]})
    assert "Be kind." == chat.system
    assert ["Where?", "", ""] == [message.text for message in chat.input_messages]
    assert (CALL,) == chat.output_messages


def test_what_is_no_chat_is_left_alone():
    """Values of any other shape are no messages, and no error."""
    odd = [None, 5, [], [1, {"choices": [{"delta": None}]}], {"choices": 3}, {"type": "content_block_delta"}]
    assert [()] * len(odd) == [chat_of(value, value).output_messages for value in odd]
