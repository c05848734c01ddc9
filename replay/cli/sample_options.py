"""The options that say which of the chosen turns are cases: `--sample-size` and `--strata`."""

from __future__ import annotations

import functools
from typing import Any

import click


def sample_options(command: Any) -> Any:
    """Add the options, and hand them to the command among `planning`, as `sampling`, where one of them was given."""

    @functools.wraps(command)
    def with_sample(
        *, planning: dict[str, Any], sample_size: int | None, strata: str | None, **options: Any
    ) -> Any:
        if sample_size is not None or strata is not None:
            from replay.running.sampling import Sampling

            keys = tuple(key.strip() for key in (strata or "").split(",") if key.strip())
            planning["sampling"] = Sampling(sample_size, keys)
        return command(planning=planning, **options)

    decorated: Any = with_sample
    for option in (
        click.option(
            "--strata",
            metavar="KEYS",
            help="What turns are grouped by, so that each group is in the sample: tag.NAME, attribute.NAME, had_write, "
            "agent_version, model; tag.intent,tag.tier,tag.language,had_write where it is not given, as far as recorded.",
        ),
        click.option(
            "--sample-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Replay N of the chosen turns: those that escalated, failed or are held, and of each group in "
            "proportion. Each case is weighted by how many turns it stands for.",
        ),
    ):
        decorated = option(decorated)
    return decorated
