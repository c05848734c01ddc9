"""The options that say what a run may take, and where its workers are: `--deadline`, `--max-usd`, `--engine`, and others.

The rules:

1. They come to the command among `planning`: whoever makes a plan with it plans the limits and the engine, too.
2. Limits are there only where one was given, so that going on with a run changes only what was said.
"""

from __future__ import annotations

import functools
from typing import Any

import click

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def limit_options(command: Any) -> Any:
    """Add the options, and hand them to the command among `planning`; `limits` only where one was given."""

    @functools.wraps(command)
    def with_limits(
        *,
        planning: dict[str, Any],
        deadline: float | None,
        memory: int | None,
        max_usd: float | None,
        max_tokens: int | None,
        max_time: float | None,
        rate: tuple[str, ...],
        retries: int | None,
        **options: Any,
    ) -> Any:
        given: dict[str, Any] = {
            "deadline": deadline,
            "memory_bytes": None if memory is None else memory * 1_000_000,
            "max_usd": max_usd,
            "max_tokens": max_tokens,
            "max_seconds": max_time,
            "retries": retries,
        }
        said = {name: value for name, value in given.items() if value is not None}
        if said or rate:
            from replay.running.limits import Limits, with_rates

            planning["limits"] = with_rates(Limits(**said), rate)
        return command(planning=planning, **options)

    decorated: Any = with_limits
    for option in (
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often an execution is tried again whose model's infrastructure failed (429, 5xx, timeout, lost "
            "connection); 2 where it is not given.",
        ),
        click.option(
            "--rate",
            multiple=True,
            metavar="RATE",
            help="How fast all workers together ask live models: 60rpm (requests a minute), 90ktpm (tokens a minute); "
            "may be repeated.",
        ),
        click.option(
            "--max-time",
            type=_ABOVE_ZERO,
            metavar="SECONDS",
            help="Hand out nothing more after so long.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(min=1),
            metavar="N",
            help="Hand out nothing more once live models took so many tokens.",
        ),
        click.option(
            "--max-usd",
            type=_ABOVE_ZERO,
            metavar="USD",
            help="Hand out nothing more once live models cost so much, as far as they say.",
        ),
        click.option(
            "--memory",
            type=click.IntRange(min=1),
            metavar="MB",
            help="What a worker may address at most.",
        ),
        click.option(
            "--deadline",
            type=_ABOVE_ZERO,
            metavar="SECONDS",
            help="How long a case may take; 60 where it is not given.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def engine_options(command: Any) -> Any:
    """Add the options, and hand them to the command among `planning`."""

    @functools.wraps(command)
    def with_engine(*, planning: dict[str, Any], engine: str, ray_address: str, **options: Any) -> Any:
        if ray_address and engine != "ray":
            raise click.UsageError("--ray-address names a cluster, and takes --engine ray beside it.")
        planning |= {"engine": engine, "ray_address": ray_address}
        return command(planning=planning, **options)

    decorated: Any = with_engine
    for option in (
        click.option(
            "--ray-address",
            default="",
            metavar="ADDRESS",
            help="With --engine ray: the cluster's address; one on this machine where it is not given.",
        ),
        click.option(
            "--engine",
            type=click.Choice(("asyncio", "ray")),
            default="asyncio",
            show_default=True,
            help="Where the workers are: processes of this machine, or actors of a Ray cluster (needs the extra `ray`).",
        ),
    ):
        decorated = option(decorated)
    return decorated
