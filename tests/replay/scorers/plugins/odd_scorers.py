"""Scorers that do what scorers should not, imported by scoring workers."""

from __future__ import annotations

import faulthandler
import os
import socket
import subprocess
import time
from pathlib import Path

from replay.scorers import Score, Subject, scorer, set_scorer

TRIED = Path(__file__).with_name("written-by-a-scorer")


@scorer(version="1", level="secondary")
def polite(subject: Subject) -> bool:
    """Say whether the answer thanks or pays."""
    return "Paid" in subject.run.answer_text


@scorer(version="1", level="secondary")
def raises(subject: Subject) -> float:
    """Raise on refunds."""
    if subject.run.user_text.startswith("refund"):
        raise ValueError(subject.run.user_text)
    return 1.0


@scorer(version="1", level="secondary")
def hangs(subject: Subject) -> float:
    """Hang on one question."""
    if subject.run.user_text == "refund A2":
        time.sleep(60)
    return 1.0


@scorer(version="1", level="secondary")
def dies(subject: Subject) -> float:
    """Take the process down on one question."""
    if subject.run.user_text == "refund A2":
        faulthandler._sigsegv()
    return 1.0


@scorer(version="1", level="secondary")
def calls_home(subject: Subject) -> float:
    """Try to reach the network, and swallow the refusal."""
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except BaseException:  # noqa: BLE001
        return 1.0
    return 1.0


@scorer(version="1", level="secondary")
def writes(subject: Subject) -> float:
    """Try to write a file."""
    TRIED.write_text("x")
    return 1.0


@scorer(version="1", level="secondary")
def runs_a_program(subject: Subject) -> float:
    """Try to run a program."""
    subprocess.run(["true"], check=True)
    return 1.0


@scorer(version="1", level="secondary")
def calls_a_tool(subject: Subject) -> float:
    """Call a decorated tool of the agent's."""
    import shop_agents

    shop_agents.refund("A1", 40)
    return 1.0


@scorer(version="1", level="secondary")
def sees_secrets(subject: Subject) -> float:
    """Say whether a secret of the environment is there."""
    return 0.0 if "SECRET_FOR_NOBODY" in os.environ else 1.0


@scorer(version="1", level="secondary")
def cites_strangers(subject: Subject) -> Score:
    """Cite a span that is not there."""
    return Score(1.0, evidence=("f" * 16,))


@scorer(version="1", level="secondary", hosts=("judge.example:443",))
def wants_a_host(subject: Subject) -> float:
    """Ask for a host."""
    return 1.0


@scorer(version="1", level="primary", judges=True)
def kindly(subject: Subject) -> bool:
    """Stand in for a judge."""
    return True


@set_scorer(version="1")
def counts(subjects: object) -> Score:
    """Give the share of executions that paid."""
    answers = [subject.run.answer_text for subject in subjects]
    return Score(
        sum("Paid" in answer for answer in answers) / len(answers), explanation=f"{len(answers)} seen"
    )


@set_scorer(version="1")
def looks_at_two(subjects: object) -> float:
    """Stop after two."""
    for number, _ in enumerate(subjects):
        if number:
            break
    return 1.0


no_scorer = 7
