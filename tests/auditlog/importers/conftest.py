"""Stores to import into, and the recorded files to import."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest

from auditlog.store import Store

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def fixtures():
    """Give the directory of recorded files."""
    return FIXTURES


@pytest.fixture
def store(tmp_path):
    """Give an empty store."""
    with Store.create(tmp_path / "store") as made:
        yield made


def _message(role, time, **more):
    return {
        "role": role,
        "timestamp": f"2025-08-01T10:00:{time:02}.5",
        "usage": None,
        "raw_data": None,
        **more,
    }


def _call(number, name, arguments, by="assistant"):
    return {"id": f"call-{number}", "name": name, "arguments": arguments, "requestor": by}


def _result(number, time, content, **more):
    return {
        "role": "tool",
        "id": f"call-{number}",
        "content": content,
        "timestamp": f"2025-08-01T10:00:{time:02}.5",
        **more,
    }


_TAU2 = {
    "info": {
        "agent_info": {"implementation": "llm_agent", "llm": "gpt-4.1", "llm_args": {"temperature": 0.0}},
        "environment_info": {"domain_name": "retail", "policy": "Be kind."},
    },
    "simulations": [
        {
            "id": "s-1",
            "task_id": "40",
            "trial": 0,
            "start_time": "2025-08-01T10:00:00",
            "reward_info": {
                "reward": 0.5,
                "db_check": {"db_match": False},
                "action_checks": [
                    {"action": {"name": "look_up"}, "action_match": True},
                    {"action": {"name": "refund"}, "action_match": False},
                ],
            },
            "messages": [
                _message("assistant", 1, content="Hello!"),
                _message("user", 2, content="Where is my order?"),
                _message(
                    "assistant",
                    4,
                    content=None,
                    tool_calls=[_call(1, "look_up", {"id": 7}), _call(2, "look_up", {"id": 8})],
                    usage={"prompt_tokens": 10, "completion_tokens": 3},
                    cost=0.25,
                    raw_data={"finish_reason": "tool_calls"},
                ),
                _result(1, 5, '{"state": "sent"}', error=False),
                _result(2, 6, "Error: no such order", error=True),
                _message(
                    "assistant",
                    8,
                    content="It was sent.",
                    usage={"prompt_tokens": 20, "completion_tokens": 4},
                    cost=0.0,
                    raw_data={"finish_reason": "stop"},
                ),
                _message("user", 9, content="Thanks. ###STOP###"),
            ],
        }
    ],
}


@pytest.fixture
def tau2_document():
    """Give a small τ²-bench result file: a greeting, one turn with two tool calls, and a closing message."""
    return copy.deepcopy(_TAU2)


@pytest.fixture
def make():
    """Give functions that make a τ² message, tool call and tool result."""
    return SimpleNamespace(message=_message, call=_call, result=_result)
