"""`python -m examples.support_bot`: chatting and playing, both recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import auditlog

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run the sample agent's command as a user would, in the embedded mode."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MODEL", "SUPPORT_BOT_MODEL", "AUDITLOG_STORE")
    }
    command = [sys.executable, "-m", "examples.support_bot", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_chat_is_answered_and_recorded(tmp_path):
    """Two questions at the terminal are answered, and are one conversation of two turns in the store."""
    store = tmp_path / "audit"

    done = run("--store", str(store), said="Where is my order MB-10151?\nIs delivery free?\n\n")

    assert done.returncode == 0, done.stderr
    assert "25 November 2026" in done.stdout
    with auditlog.Store.open(store) as opened:
        [conversation] = opened.conversations()
    assert len(conversation.turns) == 2
    first = conversation.turns[0]
    assert (first.agent.agent_name, first.agent.agent_version) == ("support-bot", "v1")
    assert first.agent.prompt_version == "v1"
    called = [(span.kind, span.name) for span in first.of_kind("retriever", "tool")]
    assert called == [("retriever", "search_articles"), ("tool", "look_up_order")]
    assert first.spans[-1].model_served == "embedded-1"
    assert (first.spans[-1].usage.output_tokens or 0) > 0


def test_scripted_conversations_are_recorded_with_their_facts(tmp_path):
    """A play records effects, escalations, errors, users and tags."""
    store = tmp_path / "audit"

    done = run("--scripted", "--version", "v1", "--store", str(store))

    assert done.returncode == 0, done.stderr
    with auditlog.Store.open(store) as opened:
        found = list(opened.conversations())
    turns = [turn for conversation in found for turn in conversation.turns]
    spans = [span for turn in turns for span in turn.spans]
    effects = {span.name: span.effect for span in spans if span.kind == "tool"}
    assert effects == {
        "look_up_order": "read",
        "issue_refund": "write",
        "change_address": "write",
        "escalate_to_human": "control",
    }
    assert {"the customer is angry", "the customer asks for a person"} <= {t.escalation_reason for t in turns}
    assert {span.fault.message for span in spans if span.fault} >= {"There is no order MB-99120."}
    assert all(conversation.tags["scene"] for conversation in found)
    assert all(document.source for span in spans for document in span.documents)
    assert not any(span.lossy for span in spans)


def test_a_store_that_cannot_be_used_is_one_sentence(tmp_path):
    """A store path that is a file ends the command with a sentence and no traceback."""
    occupied = tmp_path / "file"
    occupied.write_text("not a store")

    done = run("--store", str(occupied))

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(occupied) in done.stderr
