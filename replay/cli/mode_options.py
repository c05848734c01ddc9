"""The options that say what a run serves and what it lets happen.

The rules:

1. They come as one value, `modes`, to the command that they stand on.
2. A write that happens for real takes two options: its tool by name, and that writes may be live at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--fresh-worker",
        is_flag=True,
        help="Run each case in a process of its own, so that nothing of one is left for the next. Slower.",
    ),
    click.option(
        "--allow-live-writes",
        is_flag=True,
        help="Let the writes of the tools that --live-write names happen for real.",
    ),
    click.option(
        "--live-write",
        "live_writes",
        multiple=True,
        metavar="TOOL",
        help="A tool whose writes happen for real, beside --allow-live-writes; may be repeated.",
    ),
    click.option(
        "--simulator",
        metavar="MODULE:FUNCTION",
        help="With --on-miss simulate: what answers; the nearest recorded call where it is not given.",
    ),
    click.option(
        "--live-read",
        "live_reads",
        multiple=True,
        metavar="TOOL",
        help="A tool declared `read`, or a retriever, that may run for real; may be repeated.",
    ),
    click.option(
        "--on-miss",
        type=click.Choice(("diverge", "recorded_error", "live", "simulate")),
        default="diverge",
        show_default=True,
        help="What becomes of a read that the recording does not hold.",
    ),
    click.option(
        "--reads",
        type=click.Choice(("recorded", "live", "hybrid", "deny")),
        default="recorded",
        show_default=True,
        help="Where tools that read are answered from; hybrid is recorded first, and live where that is missed.",
    ),
    click.option(
        "--model",
        type=click.Choice(("live", "recorded", "cached")),
        default="live",
        show_default=True,
        help="Where models are answered from.",
    ),
)
_NAMES = (
    "model",
    "reads",
    "on_miss",
    "live_reads",
    "live_writes",
    "allow_live_writes",
    "simulator",
    "fresh_worker",
)


def mode_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which takes `modes`."""

    @functools.wraps(command)
    def with_modes(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _NAMES}
        return command(*args, modes=_modes(**given), **kwargs)

    for option in _OPTIONS:
        with_modes = option(with_modes)
    return with_modes


def _modes(*, allow_live_writes: bool, simulator: str | None, **given: Any) -> Any:
    from replay.sandbox.modes import Modes, check

    writes = "live" if allow_live_writes else "recorded_or_block"
    return check(Modes(writes=writes, simulator=simulator or "", **given))
