"""Chat with the sample agent in a terminal, or play the scripted conversations; either is recorded.

    python -m examples.support_bot                       chat with v1, recorded in ./audit
    python -m examples.support_bot --version v2
    python -m examples.support_bot --scripted --store ./audit
    python -m examples.support_bot --scripted --more 400 --store ./audit

SUPPORT_BOT_NOISE=0.2:7 has the embedded model vary as a real one does; see `noise`. SUPPORT_BOT_MODEL=smollm2 has the
answers worded by a real small model.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from itertools import chain

import auditlog

from . import v1, v2
from .conversations import Agent, load_conversations, play_all
from .traffic import more, play_apart

AGENTS: dict[str, Agent] = {"v1": v1, "v2": v2}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.support_bot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", choices=sorted(AGENTS), default="v1", help="the agent's version (default: v1)"
    )
    parser.add_argument("--store", default="./audit", help="where to record (default: ./audit)")
    parser.add_argument(
        "--scripted", action="store_true", help="play the scripted conversations instead of chatting"
    )
    parser.add_argument(
        "--limit", type=int, default=None, help="with --scripted: play only the first of them"
    )
    parser.add_argument(
        "--more", type=int, default=0, help="with --scripted: play so many further conversations behind them"
    )
    options = parser.parse_args()
    try:
        auditlog.configure(options.store, agent_version=options.version)
    except auditlog.AuditlogError as error:
        sys.exit(str(error))
    try:
        if options.scripted:
            scripted(AGENTS[options.version], options.limit, options.more)
        else:
            chat(AGENTS[options.version])
    finally:
        auditlog.shutdown()
    print(f"Recorded in {options.store}. To look at it: auditlog ls --store {options.store}", file=sys.stderr)


def scripted(agent: Agent, limit: int | None, further: int = 0) -> None:
    """Play the scripted conversations, and further ones of their kind."""
    scripts = load_conversations()[:limit]
    total = len(scripts) + further
    played = chain(play_all(agent, scripts), play_apart(agent, more(further)))
    for number, (script, said) in enumerate(played, start=1):
        print(
            f"\r{number}/{total} {script.id} ({len(said)} turns)   ",
            end="",
            file=sys.stderr,
            flush=True,
        )
    print(file=sys.stderr)


def chat(agent: Agent) -> None:
    """Talk with the agent until an empty line or Ctrl-D."""
    history: list[dict[str, str]] = []
    print(
        "Marrowby support. An empty line ends the conversation. Try: Where is my order MB-10151?",
        file=sys.stderr,
    )
    with auditlog.conversation(f"chat-{uuid.uuid4().hex[:8]}", user="terminal"):
        while True:
            try:
                question = input("you: ").strip()
            except (EOFError, KeyboardInterrupt):
                print(file=sys.stderr)
                return
            if not question:
                return
            answer = agent(question, list(history))
            print(f"bot: {auditlog.safe_text(answer)}")
            history += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


if __name__ == "__main__":
    main()
