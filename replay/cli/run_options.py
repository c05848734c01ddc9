"""Options that say what runs, compared with what, and on which recorded turns.

The rules:

1. `--agent` alone is what runs. With `--candidate`, which says which code, it is where the agent is in it.
2. A group's `planning` leaves out what was not said where a plan knows better.
3. What a group needs to make its value is imported when it does, so that `--help` is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import click

from auditlog.cli.options import selection

_AT_LEAST_ONE = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Target:
    """What runs."""

    agent: str | None
    adapter: str | None
    candidate: str | None

    section: ClassVar[str] = "What runs"
    options: ClassVar = (
        click.option(
            "--agent",
            metavar="MODULE:ATTR",
            help="The decorated agent to run, such as examples.support_bot:v2.",
        ),
        click.option(
            "--candidate",
            metavar="SPEC",
            help="Which code: git:REV, . for the working tree, or a manifest's FILE.toml, and --agent then names the agent in "
            "it; or MODULE:ATTR.",
        ),
        click.option(
            "--adapter",
            metavar="MODULE:FUNCTION",
            help="Instead of an agent: a function of the recorded arguments as one mapping.",
        ),
    )

    @property
    def named(self) -> str:
        """What runs; empty where nothing was named."""
        return self.candidate or self.adapter or self.agent or ""

    def require(self, such_as: str = "--agent MODULE:ATTR, such as --agent examples.support_bot:v2") -> None:
        """Refuse a command line that names nothing to run."""
        if not self.named:
            raise click.UsageError(f"Name what to run with {such_as}, or with --candidate or --adapter.")

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        _refuse_both("--agent", self.agent, "--adapter", self.adapter)
        inside = "" if self.candidate is None else self.agent or self.adapter or ""
        return {"candidate": self.named, "adapter": self.adapter is not None, "agent": inside}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What it is compared with."""

    baseline: str | None
    baseline_adapter: str | None

    section: ClassVar[str] = "What runs"
    options: ClassVar = (
        click.option(
            "--baseline",
            metavar="SPEC",
            help="The version in production, run again to compare with: MODULE:ATTR, git:REV, . or FILE.toml. Without it, the "
            "recording is compared with.",
        ),
        click.option("--baseline-adapter", metavar="MODULE:FUNCTION", help="The same, as an adapter."),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        _refuse_both("--baseline", self.baseline, "--baseline-adapter", self.baseline_adapter)
        return {
            "baseline": self.baseline_adapter or self.baseline or None,
            "baseline_adapter": self.baseline_adapter is not None,
        }


@dataclass(frozen=True, slots=True)
class SecondBaseline:
    """How often the baseline runs again, to show its noise."""

    second_baseline: float

    section: ClassVar[str] = "What runs"
    options: ClassVar = (
        click.option(
            "--second-baseline",
            type=click.FloatRange(0, 1),
            default=0.2,
            show_default=True,
            metavar="SHARE",
            help="The share of the cases that the baseline runs a second time, to show its noise; a gate wants 1.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        return {"sample": self.second_baseline}


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often each case runs."""

    repeats: int

    section: ClassVar[str] = "What runs"
    options: ClassVar = (
        click.option(
            "--repeats",
            type=_AT_LEAST_ONE,
            default=1,
            show_default=True,
            metavar="K",
            help="How often each case runs in each arm.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        return {"repeats": self.repeats}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which conversations."""

    where: str | None
    since: str | None
    until: str | None

    section: ClassVar[str] = "Which turns"
    options: ClassVar = (
        click.option(
            "--where", metavar="FILTER", help="Such as \"status:error tool:issue_refund text:'two words'\"."
        ),
        click.option("--since", metavar="WHEN", help="From then on: yesterday, 2h, 3d, or a date."),
        click.option("--until", metavar="WHEN", help="Up to then: today, 2h, or a date, which it includes."),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        chosen = selection(self.where, None, self.since, self.until)
        return {"where": chosen.where, "since": chosen.since, "until": chosen.until}


@dataclass(frozen=True, slots=True)
class Most:
    """How many cases."""

    limit: int | None

    section: ClassVar[str] = "Which turns"
    options: ClassVar = (
        click.option(
            "--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most N cases; 0 is all."
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        return {"limit": self.limit or None}


@dataclass(frozen=True, slots=True)
class Sample:
    """Which of the chosen turns are cases."""

    sample_size: int | None
    strata: str | None

    section: ClassVar[str] = "Which turns"
    options: ClassVar = (
        click.option(
            "--sample-size",
            type=_AT_LEAST_ONE,
            metavar="N",
            help="Replay N of the chosen turns: those that escalated, failed or are held, and of each group in "
            "proportion. Each case is weighted by how many turns it stands for.",
        ),
        click.option(
            "--strata",
            metavar="KEYS",
            help="What turns are grouped by, so that each group is in the sample: tag.NAME, attribute.NAME, had_write, "
            "agent_version, model; tag.intent,tag.tier,tag.language,had_write where it is not given, as far as recorded.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        if self.sample_size is None and self.strata is None:
            return {}
        from replay.running.sampling import Sampling

        keys = tuple(key.strip() for key in (self.strata or "").split(",") if key.strip())
        return {"sampling": Sampling(self.sample_size, keys)}


def _refuse_both(name: str, value: str | None, other: str, other_value: str | None) -> None:
    if value is not None and other_value is not None:
        raise click.UsageError(f"{name} and {other} each name one: give one of them.")
