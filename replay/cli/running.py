"""`auditlog replay run` and `verify`: run recorded turns again.

The rules:

1. Options reach the plan by their groups, and by no other way.
2. A store without recordings is refused before anything is planned.
3. `--resume` goes on with a run as it was begun: what may be another from here on is taken, and the rest is refused.
4. What a run is, what it can show and what it may cost is said before it begins.
5. A budget that is used up ends the command with 4, Ctrl-C with 130, a `verify` that is not identical with 1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, record_access, store_option, store_words
from replay.cli.option_groups import Given, SectionedCommand, options_of
from replay.cli.outlook import outlook
from replay.cli.run_options import Baseline, Filter, Most, Repeats, Sample, SecondBaseline, Target
from replay.cli.serving_options import EVERY_RUN, Engine, Served

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.results.report import RunSummary
    from replay.running.run_plan import RunPlan

_ON_RESUME = ("limits", "engine", "ray_address", "allow_builds", "say", "path", "workers")
"""What of a plan may be another from here on."""
WITH_RESUME = frozenset(
    {
        *("resume", "store", "format", "path", "concurrency", "allow_builds", "engine", "ray_address"),
        *("deadline", "memory", "max_usd", "max_tokens", "max_time", "rate", "retries"),
        *("live_writes", "allow_live_writes"),
    }
)
"""The options that mean something beside `--resume`, by their parameters' names."""

fresh_option = click.option(
    "--fresh", is_flag=True, help="Begin anew, even where the same run is unfinished."
)


@click.command(cls=SectionedCommand, short_help="Run recorded turns with a candidate.")
@options_of(Target, Baseline, SecondBaseline, Repeats, Filter, Most, Sample, Served, *EVERY_RUN, Engine)
@click.option("--resume", metavar="RUN", help="Go on with this unfinished run; `last` for the newest.")
@fresh_option
@format_choice("text", "json")
@store_option
def run(given: Given, resume: str | None, fresh: bool, format: str, store: str) -> None:
    """Run recorded turns with a candidate, and with the version in production.

    The same command goes on with its run where it was interrupted.
    """
    import replay as engine

    if resume is None:
        given[Target].require()
    planning = given.planning()
    with open_store(store) as opened:
        if resume is not None:
            refuse_ignored(f"Run {resume}", WITH_RESUME)
            planned = engine.resume(opened, resume, **on_resume(given), live_writes=given[Served].live_writes)
        else:
            refuse_empty(opened)
            planned = engine.plan(opened, **planning, fresh=fresh)
        execute_plan(opened, planned, format, store_words(store))


@click.command(
    cls=SectionedCommand, short_help="Test the harness: the recorded version must come out identical."
)
@options_of(Target, Filter, Most, *EVERY_RUN, Engine)
@fresh_option
@format_choice("text", "json")
@store_option
def verify(given: Given, fresh: bool, format: str, store: str) -> None:
    """Test the harness: the recorded version with recorded model and tools must come out identical.

    Exits with 1 where a case does not.
    """
    import replay as engine

    given[Target].require()
    with open_store(store) as opened:
        refuse_empty(opened)
        planned = engine.plan(opened, **given.planning(), kind="verify", fresh=fresh)
        execute_plan(opened, planned, format, store_words(store))


def on_resume(given: Given) -> dict[str, Any]:
    """Give what of a plan may be another when a run goes on."""
    return {name: value for name, value in given.planning().items() if name in _ON_RESUME}


def refuse_ignored(what: str, meant: Collection[str]) -> None:
    """Refuse what is given beside `--resume` and could only be ignored: a run goes on as it was begun.

    Args:
        what: what goes on, such as `Run last`.
        meant: the options that mean something, by their parameters' names.
    """
    context = click.get_current_context()
    named = {option.name: option.opts[0] for option in context.command.params}
    given = [
        named[name]
        for name in named.keys() - set(meant)
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"{what} goes on as it was begun, so {', '.join(sorted(given))} would be ignored. Leave "
            f"{'it' if len(given) == 1 else 'them'} out, or start a new one without --resume."
        )


def refuse_empty(store: Store) -> None:
    """Refuse a store without a recording."""
    from auditlog.errors import NotFoundError

    if store.count() == 0:
        raise NotFoundError(
            f"The store {store.path} holds no conversations, so there is nothing to replay. "
            f"Record some, or import some with `auditlog import FILE --store {store.path}`."
        )


def execute_plan(store: Store, planned: RunPlan, format: str, words: str) -> None:
    """Run a plan, say what it is, and write what it found."""
    from replay.cli.summary import write_summary
    from replay.results.loading import load_report

    record_access(
        store,
        f"replay {planned.kind}",
        filter=planned.where or None,
        ids=[planned.run_id],
        rows=len(planned.cases),
    )
    summary = execute(store, planned)
    store.seal(wait=False)
    write_summary(load_report(store, summary.run_id), as_json=format == "json", words=words)
    refuse_unfinished(summary, words)
    _end(summary)


def execute(store: Store, planned: RunPlan, of: str = "") -> RunSummary:
    """Run a plan, where it says; say before what it is, and meanwhile how far it is.

    Args:
        store: where the recorded turns are.
        planned: the run.
        of: what its cases are of, such as ` of the regression set`.
    """
    from auditlog.cli.output import narrate
    from auditlog.wording import many
    from replay.running.progress import ProgressLine
    from replay.running.runner import run

    for note in planned.notes:
        narrate(note)
    goes_on = " goes on" if planned.resumed else ""
    narrate(
        f"Run {planned.run_id}{goes_on}: {many(len(planned.cases), 'case')}{of}, "
        f"{many(planned.executions, 'execution')}, {planned.mode}"
    )
    for said in () if planned.resumed else outlook(planned):
        narrate(said)
    line = ProgressLine()
    try:
        return run(store, planned, progress=line)
    finally:
        line.close()


def refuse_unfinished(summary: RunSummary, words: str, then: str = "") -> None:
    """End the command where its run did not come to its end, and say how it goes on.

    Args:
        summary: the run.
        words: the option that names the store.
        then: what is to be done once it is complete.
    """
    from auditlog.cli.output import narrate

    go_on = f"`auditlog replay run --resume {summary.run_id}{words}`"
    if summary.status == "budget":
        narrate(f"A budget is used up; what is done is kept. {go_on} with a larger one goes on.{then}")
        raise click.exceptions.Exit(Exit.BUDGET)
    if summary.status != "complete":
        narrate(f"Interrupted; what is done is kept. {go_on} goes on.{then}")
        raise click.exceptions.Exit(Exit.INTERRUPTED)


def _end(summary: RunSummary) -> None:
    from auditlog.cli.output import narrate

    if summary.kind == "control":
        differing = summary.cases - summary.classes.get("identical", 0) - summary.classes.get("cosmetic", 0)
        narrate(
            f"Two runs of the same version differ in {differing} of {summary.cases} cases: that is noise, and no candidate "
            "that differs as much has changed anything by it."
        )
    if summary.kind == "verify" and summary.classes.get("identical", 0) != summary.cases:
        narrate(
            "The recording does not replay as it was: what comes out of a replay of it cannot be trusted yet."
        )
        raise click.exceptions.Exit(Exit.NO)
