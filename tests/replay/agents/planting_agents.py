"""Agents that write into the records of their own run what only the run may write."""

from __future__ import annotations

from typing import Any

import orjson
import shop_agents

import auditlog
from auditlog import config
from auditlog.context import new_span_id


def _plant(entry: dict[str, Any], attributes: dict[str, Any], content: object = None) -> None:
    recorder = config.recorder()
    assert recorder is not None
    span = new_span_id()
    ids = {"trace": span + span, "span": span, "turn": span, "conversation": "planted", "parent": None}
    times = {"time": 1, "end": 2, "source": "decorator", "status": "ok"}
    recorder.span({**ids, **times, **entry}, attributes, {"input": orjson.dumps(content)})


@auditlog.agent("shop", version="v2")
def scores_itself(question: str, history: list[dict[str, str]]) -> str:
    """Say that a scorer was content."""
    scores = [
        {"scorer": "no_new_pii", "version": "1", "config": "0", "level": "hard", "kind": "case", "value": 1}
    ]
    _plant(
        {"kind": "other", "name": "replay_scores"},
        {},
        {"version": 1, "case": "x", "arm": "candidate", "repeat": 0, "scores": scores},
    )
    return shop_agents.respond(question)


@auditlog.agent("shop", version="v2")
def runs_elsewhere(question: str, history: list[dict[str, str]]) -> str:
    """Say that it was another case's execution."""
    lineage = {"auditlog.replay.source_span_id": "00f067aa0ba902b7", "auditlog.replay.status": "complete"}
    _plant({"kind": "agent", "name": "shop"}, lineage, {"question": question})
    return shop_agents.respond(question)
