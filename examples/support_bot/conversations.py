"""The scripted customers: conversations as data, and playing them against a version of the agent.

The rules:

1. Each line of `conversations.jsonl` is one conversation: its id, its user, the scene that it plays and its turns.
2. Conversations are played in the file's order against one fresh shop, so that every run gives the same answers.
3. What the agent answered is the history of the next turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import auditlog

from .shop import Shop, use_shop

CONVERSATIONS = Path(__file__).with_name("conversations.jsonl")

Agent = Callable[[str, list[dict[str, str]]], str]


@dataclass(frozen=True, slots=True)
class Script:
    """One scripted conversation."""

    id: str
    user: str
    scene: str
    turns: tuple[str, ...]


@cache
def load_conversations() -> tuple[Script, ...]:
    """Give every scripted conversation, in the file's order."""
    return tuple(
        Script(script["id"], script["user"], script["scene"], tuple(script["turns"]))
        for script in map(json.loads, CONVERSATIONS.read_text(encoding="utf-8").splitlines())
    )


def play(
    agent: Agent, script: Script, suffix: str = "", more_tags: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Play one conversation, and give each question with its answer.

    Args:
        agent: the version that answers.
        script: what the customer says.
        suffix: is added to the conversation's id, where one store is to hold several plays of it.
        more_tags: beside the scene and the task.
    """
    history: list[dict[str, str]] = []
    tags = {"scene": script.scene, "task_id": script.id, **(more_tags or {})}
    with auditlog.conversation(script.id + suffix, user=script.user, tags=tags):
        for question in script.turns:
            answer = agent(question, list(history))
            history += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            yield question, answer


def play_all(
    agent: Agent, scripts: Iterable[Script] | None = None, suffix: str = ""
) -> Iterator[tuple[Script, list[tuple[str, str]]]]:
    """Play conversations against a fresh shop, and give each with its questions and answers."""
    shop = Shop(":memory:")
    use_shop(shop)
    try:
        for script in scripts if scripts is not None else load_conversations():
            yield script, list(play(agent, script, suffix))
    finally:
        use_shop(None)
        shop.close()
