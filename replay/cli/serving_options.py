"""Options that say what a run serves, holds still, may take and may reach.

The rules:

1. A group's `planning` leaves out what was not said where a plan knows better, so that going on with a run changes only what
   was said.
2. A write that happens for real takes two options: its tool by name, and that writes may be live at all.
3. What a group needs to make its value is imported when it does, so that `--help` is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import click

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_AT_LEAST_ONE = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Served:
    """What is served, and what may happen for real."""

    model: Any
    reads: Any
    on_miss: Any
    live_reads: tuple[str, ...]
    simulator: str | None
    live_writes: tuple[str, ...]
    allow_live_writes: bool
    isolate_cases: bool

    section: ClassVar[str] = "What is served"
    options: ClassVar = (
        click.option(
            "--model",
            type=click.Choice(("live", "recorded", "cached")),
            default="live",
            show_default=True,
            help="Where models are answered from.",
        ),
        click.option(
            "--reads",
            type=click.Choice(("recorded", "live", "hybrid", "deny")),
            default="recorded",
            show_default=True,
            help="Where tools that read are answered from; hybrid is recorded first, and live where that is missed.",
        ),
        click.option(
            "--on-miss",
            type=click.Choice(("diverge", "recorded_error", "live", "simulate")),
            default="diverge",
            show_default=True,
            help="What becomes of a read that the recording does not hold.",
        ),
        click.option(
            "--live-read",
            "live_reads",
            multiple=True,
            metavar="TOOL",
            help="A tool declared `read`, or a retriever, that may run for real; may be repeated.",
        ),
        click.option(
            "--simulator",
            metavar="MODULE:FUNCTION",
            help="With --on-miss simulate: what answers; the nearest recorded call where it is not given.",
        ),
        click.option(
            "--live-write",
            "live_writes",
            multiple=True,
            metavar="TOOL",
            help="A tool whose writes happen for real, beside --allow-live-writes; may be repeated.",
        ),
        click.option(
            "--allow-live-writes",
            is_flag=True,
            help="Let the writes of the tools that --live-write names happen for real.",
        ),
        click.option(
            "--isolate-cases",
            is_flag=True,
            help="Run each case in a process of its own, so that nothing of one is left for the next. Slower.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        from replay.sandbox.modes import Modes, check

        modes = Modes(
            model=self.model,
            reads=self.reads,
            on_miss=self.on_miss,
            live_reads=self.live_reads,
            live_writes=self.live_writes,
            writes="live" if self.allow_live_writes else "recorded_or_block",
            simulator=self.simulator or "",
            fresh_worker=self.isolate_cases,
        )
        return {"modes": check(modes)}


@dataclass(frozen=True, slots=True)
class Matching:
    """Which differences between two calls are none."""

    match: str | None

    section: ClassVar[str] = "What is served"
    options: ClassVar = (
        click.option(
            "--match",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False),
            help="A TOML file whose [match] section says which differences in a tool's arguments are none.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes.

        Raises:
            RunError: the file says something unknown; the message names the line.
        """
        if self.match is None:
            return {}
        from replay.matching.rules import read_rules

        return {"matching": read_rules(self.match)}


@dataclass(frozen=True, slots=True)
class Still:
    """What is held still."""

    seed: str | None
    freeze_time: bool

    section: ClassVar[str] = "What is served"
    options: ClassVar = (
        click.option(
            "--seed",
            metavar="TEXT",
            help="Seeds `random`, numpy and `uuid`, for each recorded turn and repeat by itself and the same in both arms; "
            "0 where it is not given, `none` to leave them alone.",
        ),
        click.option(
            "--freeze-time",
            is_flag=True,
            help="Let every clock say the recorded turn's time, and go on from there.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        if self.seed is None and not self.freeze_time:
            return {}
        from replay.pinned.pinning import PINNED, Pinning

        return {"pinning": Pinning(PINNED.seed if self.seed is None else self.seed, self.freeze_time)}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it may take."""

    deadline: float | None
    memory: int | None
    max_usd: float | None
    max_tokens: int | None
    max_time: float | None
    rate: tuple[str, ...]
    retries: int | None

    section: ClassVar[str] = "Limits"
    options: ClassVar = (
        click.option(
            "--max-usd",
            type=_ABOVE_ZERO,
            metavar="USD",
            help="Hand out nothing more once live models cost so much, as far as they say.",
        ),
        click.option(
            "--max-tokens",
            type=_AT_LEAST_ONE,
            metavar="N",
            help="Hand out nothing more once live models took so many tokens.",
        ),
        click.option(
            "--max-time", type=_ABOVE_ZERO, metavar="SECONDS", help="Hand out nothing more after so long."
        ),
        click.option(
            "--rate",
            multiple=True,
            metavar="RATE",
            help="How fast all workers together ask live models: 60rpm (requests a minute), 90ktpm (tokens a minute); "
            "may be repeated.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often an execution is tried again whose model's infrastructure failed (429, 5xx, timeout, lost "
            "connection); 2 where it is not given.",
        ),
        click.option(
            "--deadline",
            type=_ABOVE_ZERO,
            metavar="SECONDS",
            help="How long a case may take; 60 where it is not given.",
        ),
        click.option("--memory", type=_AT_LEAST_ONE, metavar="MB", help="What a worker may address at most."),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        given: dict[str, Any] = {
            "deadline": self.deadline,
            "memory_bytes": None if self.memory is None else self.memory * 1_000_000,
            "max_usd": self.max_usd,
            "max_tokens": self.max_tokens,
            "max_seconds": self.max_time,
            "retries": self.retries,
        }
        said = {name: value for name, value in given.items() if value is not None}
        if not said and not self.rate:
            return {}
        from replay.running.limits import Limits, with_rates

        return {"limits": with_rates(Limits(**said), self.rate)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where it runs, and what it reaches."""

    path: str | None
    hosts: tuple[str, ...]
    env: tuple[str, ...]
    concurrency: int | None

    section: ClassVar[str] = "Where"
    options: ClassVar = (
        click.option(
            "--allow-host",
            "hosts",
            multiple=True,
            metavar="HOST",
            help="A model's host that may be reached, as name:port or address; may be repeated.",
        ),
        click.option(
            "--env",
            multiple=True,
            metavar="NAME",
            help="A variable that the agent gets, such as OPENAI_API_KEY; may be repeated.",
        ),
        click.option(
            "--path",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Where the agent is imported from and runs; the current directory where it is not given.",
        ),
        click.option(
            "--concurrency",
            type=_AT_LEAST_ONE,
            metavar="N",
            help="Worker processes at most; one a core where it is not given. Well past the cores pays where models are live.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        return {"path": self.path, "hosts": self.hosts, "env": self.env, "workers": self.concurrency}


@dataclass(frozen=True, slots=True)
class Engine:
    """On what machines."""

    engine: str
    ray_address: str | None

    section: ClassVar[str] = "Where"
    options: ClassVar = (
        click.option(
            "--engine",
            type=click.Choice(("asyncio", "ray")),
            default="asyncio",
            show_default=True,
            help="Run the workers as processes of this machine, or as actors of a Ray cluster (the extra `ray`).",
        ),
        click.option(
            "--ray-address",
            metavar="ADDRESS",
            help="The Ray cluster; where it is not given, one is made on this machine for as long as the run takes.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes."""
        if self.engine != "ray":
            if self.ray_address:
                raise click.UsageError("--ray-address is of --engine ray, which is not given.")
            return {}
        return {"engine": self.engine, "ray_address": self.ray_address or ""}


@dataclass(frozen=True, slots=True)
class Builds:
    """What may be built for a commit's environment."""

    allow_builds: bool

    section: ClassVar[str] = "Where"
    options: ClassVar = (
        click.option(
            "--allow-builds",
            is_flag=True,
            help="Build packages of an environment that have no wheel: runs their code outside of the sandbox.",
        ),
    )

    def planning(self) -> dict[str, Any]:
        """Give what a plan takes, and whom it tells of an environment that is made."""
        from auditlog.cli.output import narrate

        return {"allow_builds": self.allow_builds, "say": narrate}


EVERY_RUN = (Matching, Still, Bounds, Place, Builds)
"""The groups that every command takes which replays."""
