"""`--match FILE`: which differences between two calls are declared to be none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from replay.matching.rules import MatchRules


def match_option(command: Any) -> Any:
    """Give a command the option; its argument is called `match`."""
    return click.option(
        "--match",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="A TOML file whose [match] section says which differences in a tool's arguments are none.",
    )(command)


def rules_of(match: str | None) -> MatchRules:
    """Read the rules of a file; without one there are none.

    Raises:
        RunError: the file says something unknown; the message names the line.
    """
    from replay.matching.rules import NO_RULES, read_rules

    return NO_RULES if match is None else read_rules(match)
