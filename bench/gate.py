"""The gate on the sample agent, with noise: how often it passes what is the same, and what it says of what is worse.

    python bench/gate.py                          20 repetitions of v1 → v1, 3 of v1 → v2, one with too few cases
    python bench/gate.py --repetitions 4 --conversations 120 --level 2

The rules:

1. Traffic is recorded once, by v1 with noise: further conversations of `examples.support_bot.traffic`, each another customer.
2. A repetition is a replay run of its own, with another seed of the noise and an id that is always the same, so that every
   figure comes out again. Baseline, second baseline and candidate draw apart.
3. The policy is `examples/support_bot/gate.toml`, with rehearsal dates put to a few days ago.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import auditlog  # noqa: E402
from auditlog import config  # noqa: E402
from auditlog.store import Store  # noqa: E402
from examples.support_bot import noise, v1  # noqa: E402
from examples.support_bot.traffic import more, play_apart  # noqa: E402
from replay.gate.check import Verdict  # noqa: E402
from replay.gate.judge import judge  # noqa: E402
from replay.gate.metrics import known_metrics  # noqa: E402
from replay.gate.policy import Policy, read_policy  # noqa: E402
from replay.running.planning import plan  # noqa: E402
from replay.running.runner import run  # noqa: E402
from replay.scorers.builtin import BUILT_IN  # noqa: E402

RATE = 0.2
POLICY = ROOT / "examples" / "support_bot" / "gate.toml"


class Repetition(NamedTuple):
    """One run, judged."""

    seed: int
    verdict: Verdict
    seconds: float


def record(path: Path, conversations: int, rate: float = RATE) -> None:
    """Record traffic of v1 with noise."""
    os.environ[noise.VARIABLE] = f"{rate}:recorded"
    auditlog.configure(path, agent_version="v1", seal=False)
    try:
        for _ in play_apart(v1, more(conversations)):
            pass
    finally:
        auditlog.shutdown()
        config._state.recorder = None  # noqa: SLF001 - the next store is configured anew
    with Store.open(path) as store:
        store.seal()


def policy(level: int = 3) -> Policy:
    """Read the example policy, rehearsed a few days ago."""
    today = datetime.now(UTC).date()
    text = re.sub(
        r"\d{4}-\d\d-\d\d",
        lambda _: (today - timedelta(days=5)).isoformat(),
        POLICY.read_text(encoding="utf-8"),
    )
    text = re.sub(r"expires = \S+", f"expires = {today + timedelta(days=30)}", text)
    text = re.sub(r"^level = \d", f"level = {level}", text, flags=re.MULTILINE)
    return read_policy(text, known_metrics(list(BUILT_IN)), today=today, path=str(POLICY))


def repeat(
    recorded: Path, candidate: str, seed: int, asked: Policy, *, rate: float = RATE, limit: int | None = None
) -> Repetition:
    """Replay a version with one seed of the noise, and judge it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as scratch:
        shutil.copytree(recorded, Path(scratch, "audit"))
        os.environ[noise.VARIABLE] = f"{rate}:{seed}"
        with Store.open(Path(scratch, "audit")) as store:
            planned = plan(
                store, f"examples.support_bot:{candidate}", baseline="examples.support_bot:v1", sample=1.0,
                env=(noise.VARIABLE,), path=ROOT, limit=limit,
            )  # fmt: skip
            # The noise hangs on the run's id, which must be the same the next time.
            planned = replace(planned, run_id=f"bench-{candidate}-{seed}")
            run(store, planned)
            store.seal()
            verdict = judge(store, planned.run_id, asked, path=str(ROOT)).verdict
    return Repetition(seed, verdict, time.monotonic() - began)


def line(title: str, found: Repetition) -> str:
    """Write a repetition as a line."""
    verdict = found.verdict
    waiting = [check.id for check in verdict.checks if check.gates and check.counts != "PASS"]
    flips = next((c.figures.get("delta") for c in verdict.checks if c.id == "primary.escalation"), None)
    delta = "–" if flips is None else f"{100 * float(str(flips)):+.2f}"
    return (
        f"{title:<10} {found.seed:>4}  {verdict.outcome:<13} {verdict.cases:>6} {verdict.conversations:>6}  {delta:>7}  "
        f"{found.seconds:>6.0f} s  {', '.join(waiting) or '–'}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed of v1 → v1")
    parser.add_argument("--worse", type=int, default=3, help="repetitions of v1 → v2")
    parser.add_argument("--conversations", type=int, default=340)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--level", type=int, default=3)
    options = parser.parse_args()
    asked = policy(options.level)
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as scratch:
        recorded = Path(scratch, "recorded")
        record(recorded, options.conversations, options.rate)
        print(
            f"{options.conversations} conversations recorded by v1, noise {options.rate:g}, level {options.level}\n"
        )
        print("candidate  seed  verdict        cases   conv.  Δ escal. pp     time  what does not pass")
        outcomes: Counter[str] = Counter()
        for seed in range(options.first, options.first + options.repetitions):
            found = repeat(recorded, "v1", seed, asked, rate=options.rate)
            outcomes[found.verdict.outcome] += 1
            print(line("v1 → v1", found), flush=True)
        for seed in range(1, options.worse + 1):
            print(line("v1 → v2", repeat(recorded, "v2", seed, asked, rate=options.rate)), flush=True)
        few = repeat(recorded, "v1", 1, asked, rate=options.rate, limit=60)
        print(line("too few", few))
        for check in few.verdict.checks:
            if check.gates and check.counts == "INCONCLUSIVE":
                print(f"           {check.id}: {check.sentence}")
        print(f"\nv1 → v1: {dict(outcomes)} of {options.repetitions}")


if __name__ == "__main__":
    main()
