"""The embedded model, its policy, and how it reads customers."""

from __future__ import annotations

import json

import pytest

from examples.support_bot import agent_v1, agent_v2
from examples.support_bot.embedded import EmbeddedClient
from examples.support_bot.policy import Policy, read_policy
from examples.support_bot.tools import TOOLS, run_tool, tool_definitions
from examples.support_bot.understanding import ASK_ADDRESS, ASK_ORDER, OFFER_DESK, understand


def read(*said: str):
    """Understand a conversation of alternating user and assistant texts."""
    roles = ("user", "assistant")
    return understand([{"role": roles[i % 2], "content": text} for i, text in enumerate(said)])


def complete(prompt: str, question: str, tools=None):
    """Ask the embedded client one question."""
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": question}]
    return EmbeddedClient().chat.completions.create(
        model="embedded-1", messages=messages, tools=tools, temperature=0
    )


def test_a_completion_has_the_shape_of_openais():
    """The embedded client gives a ChatCompletion with its model's name, a finish reason and token counts."""
    completion = complete(agent_v1.PROMPT, "Hello!")

    assert completion["object"] == "chat.completion"
    assert completion["model"] == "embedded-1"
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["choices"][0]["message"]["role"] == "assistant"
    usage = completion["usage"]
    assert usage["prompt_tokens"] > usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_tools_are_called_only_when_they_are_offered():
    """With tools the model asks for a look-up, with its arguments as JSON text; without tools it answers."""
    question = "Where is my order MB-10151?"

    asked = complete(agent_v1.PROMPT, question, tool_definitions())["choices"][0]
    answered = complete(agent_v1.PROMPT, question)["choices"][0]

    assert asked["finish_reason"] == "tool_calls"
    assert json.loads(asked["message"]["tool_calls"][0]["function"]["arguments"]) == {"order_id": "MB-10151"}
    assert answered["finish_reason"] == "stop"


def test_policies_are_read_from_the_system_prompt_alone():
    """What the versions do differently stands in their prompts, and a customer's words set no policy."""
    assert read_policy(agent_v1.PROMPT) == Policy(
        100.0, hands_over_angry=True, always_names_a_day=False, own_words=False
    )
    assert read_policy(agent_v2.PROMPT) == Policy(
        None, hands_over_angry=False, always_names_a_day=True, own_words=True
    )


def test_tools_are_described_from_their_docstrings():
    """Each tool is described to the model under its own name, and an unknown one is answered with the known ones."""
    assert list(TOOLS) == [tool["function"]["name"] for tool in tool_definitions()]
    assert all(tool["function"]["description"] for tool in tool_definitions())
    assert "look_up_order" in run_tool("format_disk", "{}")["error"]


def test_a_failing_tool_answers_with_its_error(shop):
    """A tool's error reaches the model as a result."""
    assert run_tool("look_up_order", '{"order_id": "MB-99999"}') == {"error": "There is no order MB-99999."}


@pytest.mark.parametrize(
    ("question", "wants"),
    [
        ("Where is MB-10151?", {"status"}),
        ("mb 10157 please", {"status"}),
        ("I want my money back for MB-10102", {"refund"}),
        ("What is the time until a refund is on my account?", set()),
        ("How do I get a refund?", set()),
        ("Please change the address of MB-10191 to Lane 9, 20459 Town, DE", {"address"}),
        ("Is it possible to change a delivery address?", set()),
        ("Could I talk to a real person?", {"human"}),
        ("Please refund MB-10114. When will MB-10174 arrive?", {"refund", "status"}),
    ],
)
def test_wishes_are_told_from_questions(question, wants):
    """A request is a wish; a question about the rules is not."""
    assert wants == read(question).wants


def test_an_answer_to_the_agents_question_takes_up_the_wish():
    """An order number, an e-mail address or an address alone continues what was asked for before."""
    number = read("I need a refund", f"Sure. {ASK_ORDER}", "MB-10106")
    address = read("Change the address of MB-10197", ASK_ADDRESS, "12 Rue du Puits, 69002 Valmont, FR.")

    assert (number.wants, number.order_ids) == ({"refund"}, ("MB-10106",))
    assert (address.wants, address.order_ids) == ({"address"}, ("MB-10197",))
    assert address.new_address == "12 Rue du Puits, 69002 Valmont, FR"


def test_yes_accepts_an_offer_and_no_does_not():
    """The refund desk gets what the customer wants it to get."""
    offer = f"Above the limit. {OFFER_DESK}"

    assert read("Refund MB-10121", offer, "Yes, please.").accepts_desk
    assert not read("Refund MB-10121", offer, "No, thanks.").accepts_desk


def test_the_agents_own_words_are_no_wish():
    """Order numbers and wishes in what the agent said are not taken for the customer's."""
    request = read(
        "Hello", "Do you want a refund for MB-10101? I am furious!!!", "What are your opening hours?"
    )

    assert (request.wants, request.order_ids, request.angry) == (set(), (), False)
