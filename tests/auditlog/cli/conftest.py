"""What tests of the command share: running it in this process and as one of its own, and a store with something in it."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(autouse=True)
def _plain(plain_surroundings):
    """Every test here runs in plain surroundings."""


@pytest.fixture
def run_apart(tmp_path):
    """Give a function that runs the command as a process of its own."""

    def start(*arguments, **options):
        environment = {**os.environ, **options.pop("env", {})}
        command = [sys.executable, "-m", "auditlog.cli", *map(str, arguments)]
        options = {"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path} | options
        return subprocess.run(command, env=environment, check=False, **options)

    return start


@pytest.fixture
def filled(store, script):
    """Give a store with three conversations: an order, a refund that failed, and an angry customer."""
    script.turn("case-1", user="Where is my order?", answer="On its way.")
    script.turn("case-1", user="Thank you", answer="You are welcome.", tools=())
    script.turn(
        "case-2",
        user="I was charged twice",
        answer="I could not refund it.",
        tools=(("issue_refund", {"order_id": "A-2", "amount": 40}, "limit exceeded", "error"),),
        version="v2",
        cost=0.25,
        attributes={"auditlog.tag.arm": "base"},
    )
    script.turn("case-3", user="This is a scandal!", answer="", status="error", agent="other-bot", tools=())
    store.refresh()
    return store
