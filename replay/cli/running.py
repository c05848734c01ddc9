"""`auditlog replay run` and `verify`: run recorded turns again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.options import (
    filter_options,
    open_store,
    record_access,
    selection,
    store_option,
    store_words,
)
from replay.cli.candidate_options import candidate_options
from replay.cli.limit_options import engine_options, limit_options
from replay.cli.match_options import match_option, rules_of
from replay.cli.mode_options import mode_options
from replay.cli.outlook import outlook
from replay.cli.pinning_options import pinning_options
from replay.cli.sample_options import sample_options

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.results.report import RunSummary
    from replay.running.planning import RunPlan
    from replay.sandbox.modes import Modes


_ON_RESUME = ("limits", "engine", "ray_address", "allow_builds", "say")
"""What of a plan may be another from here on."""
WITH_RESUME = frozenset(
    {
        *("resume", "store", "format", "path", "concurrency", "allow_builds", "engine", "ray_address"),
        *("deadline", "memory", "max_usd", "max_tokens", "max_time", "rate", "retries"),
        *("live_writes", "allow_live_writes"),
    }
)
"""The options that mean something beside `--resume`, by their parameters' names."""


def target_options(command: Any) -> Any:
    """Add the options that say what runs, on which turns, what is held still, where, and what it may take."""
    return candidate_options(limit_options(engine_options(pinning_options(turn_options(command)))))


def turn_options(command: Any) -> Any:
    """Add the options that say what runs on which turns, and what it may reach."""
    for option in (
        click.option(
            "--concurrency",
            type=click.IntRange(min=1),
            metavar="N",
            help="Worker processes at most; one a core where it is not given. Well past the cores pays where models are live.",
        ),
        click.option(
            "--env",
            multiple=True,
            metavar="NAME",
            help="A variable that the agent gets, such as OPENAI_API_KEY; may be repeated.",
        ),
        click.option(
            "--allow-host",
            "hosts",
            multiple=True,
            metavar="HOST",
            help="A model's host that may be reached, as name:port or address; may be repeated.",
        ),
        click.option(
            "--path",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Where the agent is imported from and runs; the current directory where it is not given.",
        ),
        click.option("--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most N cases."),
        filter_options,
        match_option,
        click.option(
            "--adapter",
            metavar="MODULE:FUNCTION",
            help="Instead of an agent: a function of the recorded arguments as one mapping.",
        ),
        click.option(
            "--agent",
            metavar="MODULE:ATTR",
            help="The decorated agent to run, such as examples.support_bot:v2.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Run recorded turns with a candidate.")
@target_options
@mode_options
@sample_options
@click.option(
    "--baseline",
    metavar="SPEC",
    help="The version in production, run again to compare with: MODULE:ATTR, git:REV, . or FILE.toml. "
    "The recording where it is not given.",
)
@click.option("--baseline-adapter", metavar="MODULE:FUNCTION", help="The same, as an adapter.")
@click.option(
    "--second-baseline",
    "sample",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="The share of the cases that the baseline runs a second time, to show its noise; a gate wants 1.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="How often each case runs in each arm.",
)
@click.option(
    "--verify",
    "verifies",
    is_flag=True,
    help="Serve the model too, and compare with the recording: the same as `replay verify`.",
)
@click.option("--resume", metavar="RUN", help="Go on with this unfinished run; `last` for the newest.")
@click.option("--fresh", is_flag=True, help="Begin anew, even where the same run is unfinished.")
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write the summary.",
)
@store_option
def run(
    agent: str | None,
    adapter: str | None,
    planning: dict[str, Any],
    baseline: str | None,
    baseline_adapter: str | None,
    where: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    path: str | None,
    hosts: Sequence[str],
    env: Sequence[str],
    concurrency: int | None,
    match: str | None,
    modes: Modes,
    sample: float,
    repeats: int,
    verifies: bool,
    resume: str | None,
    fresh: bool,
    format: str,
    store: str,
) -> None:
    """Run recorded turns with a candidate, and with the version in production.

    The same command goes on with its run where it was interrupted.
    """
    import replay as engine

    candidate, is_adapter = one_of("--agent", agent, "--adapter", adapter, required=resume is None)
    compared, is_baseline_adapter = one_of("--baseline", baseline, "--baseline-adapter", baseline_adapter)
    chosen = selection(where, None, since, until)
    with open_store(store) as opened:
        if resume is not None:
            refuse_ignored(f"Run {resume}", WITH_RESUME)
            execute_plan(
                opened,
                engine.resume(
                    opened,
                    resume,
                    path=path,
                    workers=concurrency,
                    live_writes=modes.live_writes,
                    **{name: planning[name] for name in _ON_RESUME if name in planning},
                ),
                format,
                store_words(store),
            )
            return
        refuse_empty(opened)
        planned = engine.plan(
            opened,
            candidate,
            baseline=compared or None,
            adapter=is_adapter,
            baseline_adapter=is_baseline_adapter,
            kind="verify" if verifies else "replay",
            modes=modes,
            where=chosen.where,
            since=chosen.since,
            until=chosen.until,
            limit=limit or None,
            sample=sample,
            repeats=repeats,
            hosts=hosts,
            env=env,
            path=path,
            workers=concurrency,
            matching=rules_of(match),
            fresh=fresh,
            **planning,
        )
        execute_plan(opened, planned, format, store_words(store))


@click.command(short_help="Test the harness: the recorded version must come out identical.")
@target_options
@click.option("--fresh", is_flag=True, help="Begin anew, even where the same run is unfinished.")
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write the summary.",
)
@store_option
def verify(
    agent: str | None,
    adapter: str | None,
    planning: dict[str, Any],
    where: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    path: str | None,
    hosts: Sequence[str],
    env: Sequence[str],
    concurrency: int | None,
    match: str | None,
    fresh: bool,
    format: str,
    store: str,
) -> None:
    """Test the harness: the recorded version with recorded model and tools must come out identical.

    Exits with 1 where a case does not.
    """
    import replay as engine

    candidate, is_adapter = one_of("--agent", agent, "--adapter", adapter, required=True)
    chosen = selection(where, None, since, until)
    with open_store(store) as opened:
        refuse_empty(opened)
        planned = engine.plan(
            opened,
            candidate,
            adapter=is_adapter,
            kind="verify",
            where=chosen.where,
            since=chosen.since,
            until=chosen.until,
            limit=limit or None,
            hosts=hosts,
            env=env,
            path=path,
            workers=concurrency,
            matching=rules_of(match),
            fresh=fresh,
            **planning,
        )
        execute_plan(opened, planned, format, store_words(store))


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
            f"{what} goes on as it was begun, so {', '.join(sorted(given))} would be ignored. Leave it out, or start a "
            "new one without --resume."
        )


def one_of(
    name: str, value: str | None, other: str, other_value: str | None, *, required: bool = False
) -> tuple[str, bool]:
    """Give the target that one of two options names, and whether it is an adapter."""
    if value is not None and other_value is not None:
        raise click.UsageError(f"{name} and {other} each name one: give one of them.")
    if required and value is None and other_value is None:
        raise click.UsageError(
            f"Name what to run with {name} MODULE:ATTR, such as {name} examples.support_bot:v2, or with {other}."
        )
    return (other_value, True) if other_value is not None else (value or "", False)


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
    from replay.render.wording import plural
    from replay.running.progress import ProgressLine
    from replay.running.runner import run

    for note in planned.notes:
        narrate(note)
    goes_on = " goes on" if planned.resumed else ""
    narrate(
        f"Run {planned.run_id}{goes_on}: {plural(len(planned.cases), 'case')}{of}, "
        f"{plural(planned.executions, 'execution')}, {planned.mode}"
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
