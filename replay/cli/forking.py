"""`auditlog replay control` and `fork`: how much one version differs from itself, and what would have come next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.options import open_store, selection, store_option, store_words
from replay.cli.match_options import rules_of
from replay.cli.mode_options import mode_options
from replay.cli.running import execute_plan, one_of, refuse_empty, target_options

if TYPE_CHECKING:
    from replay.sandbox.modes import Modes

_format_option = click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write the summary.",
)


@click.command(short_help="Run one version against itself: how much is noise.")
@target_options
@mode_options
@click.option("--fresh", is_flag=True, help="Begin anew, even where the same run is unfinished.")
@_format_option
@store_option
def control(
    agent: str | None,
    adapter: str | None,
    modes: Modes,
    where: str | None,
    since: str | None,
    until: str | None,
    fresh: bool,
    format: str,
    store: str,
    **given: Any,
) -> None:
    """Run the version in production twice, under the conditions in which a candidate would run.

    Both arms are the same version, each run with randomness of its own, so that whatever differs is noise. A candidate that
    differs no more than this is no change, and a gate that is stricter than this fails by chance.
    """
    import replay as engine

    target, is_adapter = one_of("--agent", agent, "--adapter", adapter, required=True)
    chosen = selection(where, None, since, until)
    with open_store(store) as opened:
        refuse_empty(opened)
        planned = engine.plan(
            opened,
            target,
            baseline=target,
            adapter=is_adapter,
            baseline_adapter=is_adapter,
            kind="control",
            modes=modes,
            sample=0.0,
            where=chosen.where,
            since=chosen.since,
            until=chosen.until,
            fresh=fresh,
            **_shared(**given),
        )
        execute_plan(opened, planned, format, store_words(store))


@click.command(short_help="Go on from the middle of a recorded turn.")
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
@click.option(
    "--baseline",
    metavar="MODULE:ATTR",
    help="A version that goes on from the same place, to compare with; the recording where it is not given.",
)
@target_options
@mode_options
@_format_option
@store_option
def fork(
    source: str,
    at: int,
    turn: int | None,
    baseline: str | None,
    agent: str | None,
    adapter: str | None,
    modes: Modes,
    format: str,
    store: str,
    **given: Any,
) -> None:
    """Serve the first N calls of a recorded turn exactly, what the models said among them, and go on from there.

    SOURCE is a conversation, or a run, each of whose cases is forked, with the run's candidate where no other agent is named.
    What comes after the fork is as the other options say: a live model, served reads, blocked writes.
    """
    from dataclasses import replace

    import replay as engine
    from replay.running.forking import source_of

    candidate, is_adapter = one_of("--agent", agent, "--adapter", adapter)
    for name in ("where", "since", "until"):
        if given.pop(name) is not None:
            raise click.UsageError(
                f"A fork goes on from a run or a conversation; --{name} has no meaning here."
            )
    with open_store(store) as opened:
        refuse_empty(opened)
        found = source_of(opened, source, turn=turn, at=at)
        if not candidate:
            candidate, is_adapter = found.candidate, found.adapter
            given["planning"]["agent"] = found.entry
        if not candidate:
            raise click.UsageError(
                f"{source} is a conversation: name what goes on with it with --agent MODULE:ATTR, or with --adapter."
            )
        planned = engine.plan(
            opened,
            candidate,
            baseline=baseline,
            adapter=is_adapter,
            kind="fork",
            modes=replace(modes, prefix=at),
            turns=found.turns,
            fresh=True,
            sample=0.0,
            where=found.where,
            since=found.since,
            until=found.until,
            **_shared(**given),
        )
        execute_plan(opened, planned, format, store_words(store))


def _shared(
    *,
    planning: dict[str, Any],
    limit: int | None,
    path: str | None,
    hosts: Sequence[str],
    env: Sequence[str],
    concurrency: int | None,
    match: str | None,
) -> dict[str, Any]:
    """Give what a plan takes of the options that every run has."""
    return {
        **planning,
        "limit": limit or None,
        "path": path,
        "hosts": hosts,
        "env": env,
        "workers": concurrency,
        "matching": rules_of(match),
    }
