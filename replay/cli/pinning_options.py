"""The options that say what a run holds still: `--freeze-time`, `--seed`."""

from __future__ import annotations

import functools
from typing import Any

import click


def pinning_options(command: Any) -> Any:
    """Add the options, and hand them to the command among `planning`, as `pinning`, where one of them was given."""

    @functools.wraps(command)
    def with_pinning(*, planning: dict[str, Any], freeze_time: bool, seed: str | None, **options: Any) -> Any:
        if freeze_time or seed is not None:
            from replay.pinned.pinning import PINNED, Pinning

            planning["pinning"] = Pinning(PINNED.seed if seed is None else seed, freeze_time)
        return command(planning=planning, **options)

    decorated: Any = with_pinning
    for option in (
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
    ):
        decorated = option(decorated)
    return decorated
