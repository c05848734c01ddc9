"""Chat with the sample agent in a terminal, or play the scripted conversations; either is recorded.

    python -m examples.support_bot                       chat with v1, recorded in ./audit
    python -m examples.support_bot --version v2
    python -m examples.support_bot --scripted --store ./audit

Set SUPPORT_BOT_MODEL=smollm2 to have the answers worded by a real small model.
"""

from __future__ import annotations

import argparse
import sys
import uuid

import auditlog

from . import v1, v2
from .conversations import Agent, load_conversations, play_all

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
    options = parser.parse_args()
    try:
        auditlog.configure(options.store, agent_version=options.version)
    except auditlog.AuditlogError as error:
        sys.exit(str(error))
    try:
        scripted(AGENTS[options.version], options.limit) if options.scripted else chat(
            AGENTS[options.version]
        )
    finally:
        auditlog.shutdown()
    print(f"Recorded in {options.store}. To look at it: auditlog ls --store {options.store}", file=sys.stderr)


def scripted(agent: Agent, limit: int | None) -> None:
    """Play the scripted conversations."""
    scripts = load_conversations()[:limit]
    for number, (script, said) in enumerate(play_all(agent, scripts), start=1):
        print(
            f"\r{number}/{len(scripts)} {script.id} ({len(said)} turns)   ",
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
