"""`auditlog replay control` and `fork`: how much one version differs from itself, and what would have come next.

The rules:

1. In a control run both arms are the version in production, each with randomness of its own; a candidate's options are taken, so
   that it runs under the conditions in which a candidate would.
2. A fork is of the turns that its source names, so it takes no filter. Of a run, the run's candidate goes on where no other is
   named.
3. Neither has a second baseline: a control run is one, and a fork shows what comes next.
"""

from __future__ import annotations

import click

from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, store_option, store_words
from replay.cli.option_groups import Given, SectionedCommand, options_of
from replay.cli.run_options import Baseline, Filter, Most, Target
from replay.cli.running import execute_plan, fresh_option, refuse_empty
from replay.cli.serving_options import EVERY_RUN, Engine, Place, Served


@click.command(cls=SectionedCommand, short_help="Run one version against itself: how much is noise.")
@options_of(Target, Filter, Most, Served, *EVERY_RUN, Engine)
@fresh_option
@format_choice("text", "json")
@store_option
def control(given: Given, fresh: bool, format: str, store: str) -> None:
    """Run the version in production twice, under the conditions in which a candidate would run.

    Both arms are the same version, each run with randomness of its own, so that whatever differs is noise. A candidate that
    differs no more than this is no change, and a gate that is stricter than this fails by chance.
    """
    import replay as engine

    given[Target].require()
    planning = given.planning()
    itself = {"baseline": planning["candidate"], "baseline_adapter": planning["adapter"]}
    with open_store(store) as opened:
        refuse_empty(opened)
        planned = engine.plan(opened, **planning, **itself, kind="control", sample=0.0, fresh=fresh)
        execute_plan(opened, planned, format, store_words(store))


@click.command(cls=SectionedCommand, short_help="Go on from the middle of a recorded turn.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--at",
    type=click.IntRange(min=0),
    required=True,
    metavar="N",
    help="How many calls of a turn are served as recorded, models among them, before it goes on.",
)
@click.option(
    "--turn", type=click.IntRange(min=1), metavar="N", help="Only the Nth turn of the conversation."
)
@options_of(Target, Baseline, Most, Served, *EVERY_RUN, Engine)
@format_choice("text", "json")
@store_option
def fork(source: str, at: int, turn: int | None, given: Given, format: str, store: str) -> None:
    """Serve the first N calls of a recorded turn exactly, what the models said among them, and go on from there.

    SOURCE is a conversation, or a run, each of whose cases is forked, with the run's candidate where no other agent is named.
    What comes after the fork is as the other options say: a live model, served reads, blocked writes.
    """
    from dataclasses import replace

    import replay as engine
    from replay.running.fork_source import source_of

    planning = given.planning()
    with open_store(store) as opened:
        refuse_empty(opened)
        names_agent = bool(planning["candidate"])
        found = source_of(opened, source, turn=turn, at=at, path=given[Place].path, names_agent=names_agent)
        if not names_agent:
            planning |= {"candidate": found.candidate, "adapter": found.adapter, "agent": found.entry}
        if not planning["candidate"]:
            raise click.UsageError(
                f"{source} is a conversation: name what goes on with it with --agent MODULE:ATTR, or with --adapter."
            )
        planning |= {"modes": replace(planning["modes"], prefix=at), "turns": found.turns, "sample": 0.0}
        planning |= {"where": found.where, "since": found.since, "until": found.until}
        planned = engine.plan(opened, **planning, kind="fork", fresh=True)
        execute_plan(opened, planned, format, store_words(store))
