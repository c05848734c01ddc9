"""The options that name a candidate other than by `module:attribute`: a commit, the working tree, a manifest.

The rules:

1. `--candidate` says which code; `--agent` or `--adapter` then says where the agent is in it, unless a manifest does.
2. They come to the command as what it already knows: the candidate in the place of the agent, and `planning`, what else
   a plan needs to find it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def candidate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--candidate` and `--allow-builds`; give the command `agent` or `adapter`, and `planning`."""

    @functools.wraps(command)
    def named(
        *,
        candidate: str | None,
        agent: str | None,
        adapter: str | None,
        allow_builds: bool,
        **given: Any,
    ) -> Any:
        from auditlog.cli.output import narrate

        planning: dict[str, Any] = {"allow_builds": allow_builds, "say": narrate}
        if candidate is not None:
            if agent is not None and adapter is not None:
                raise click.UsageError("--agent and --adapter each name one: give one of them.")
            planning["agent"] = agent or adapter or ""
            agent, adapter = (None, candidate) if adapter is not None else (candidate, None)
        return command(agent=agent, adapter=adapter, planning=planning, **given)

    named = click.option(
        "--allow-builds",
        is_flag=True,
        help="Build packages of an environment that have no wheel: runs their code outside of the sandbox.",
    )(named)
    return click.option(
        "--candidate",
        metavar="SPEC",
        help="What to run: git:REV, . for the working tree, or a manifest's FILE.toml; --agent then names the agent in it.",
    )(named)
