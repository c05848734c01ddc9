"""Turns made of a few words: what the agent called, in order, and what it answered."""

import itertools
from types import SimpleNamespace

import pytest

from auditlog.values import Document, Fault, Replay, Span, Turn


def call(name, arguments=None, result=None, *, kind="tool", effect=None, fault=None, tier=None, **fields):
    """Give a call as keywords of a span; `turn` gives it its ids and times."""
    return {
        "kind": kind,
        "name": name,
        "input": arguments,
        "output": result,
        "effect": effect,
        "fault": fault,
        "status": "error" if fault else "ok",
        "replay": Replay("run", "candidate", match_tier=tier) if tier else None,
        **fields,
    }


def search(query, *documents, name="search_help", **fields):
    """Give a retrieval of documents by id, whose content is their id in words."""
    found = tuple(Document(name, f"All about {name}.", 1.0) for name in documents)
    return call(name, {"query": query}, kind="retriever", documents=found, **fields)


def turn(*calls, answer="", user="Where is my order?", number=0, error=None, **agent_fields):
    """Give a turn of these calls, each a millisecond long, one after the other."""
    start = number * 1_000_000_000
    agent = Span(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:02x}" + "a" * 14,
        kind="agent",
        name="support-bot",
        start_ns=start,
        end_ns=start + (len(calls) + 1) * 1_000_000,
        input={"message": user},
        output=answer,
        status="error" if error else "ok",
        fault=Fault(error, "it broke") if error else None,
        **agent_fields,
    )
    ids = itertools.count(1)
    spans = []
    for spec in calls:
        number_in_turn = next(ids)
        fields = {"parent_span_id": agent.span_id, "span_id": f"{number + 1:02x}{number_in_turn:014x}"} | spec
        begun = start + number_in_turn * 1_000_000
        spans.append(Span(trace_id=agent.trace_id, start_ns=begun, end_ns=begun + 1_000_000, **fields))
    return Turn(agent, (agent, *spans), number)


@pytest.fixture(scope="session")
def make():
    """Give the builders of turns."""
    return SimpleNamespace(call=call, search=search, turn=turn, fault=Fault, document=Document)
