"""`auditlog replay score`, `scorers` and `calibrate`: judge what a run's executions did.

The rules:

1. Without a scorer that is named, those of ours judge that say something without options.
2. What an option of a scorer means is JSON where it reads as JSON, and else a text.
3. The exit code is 1 where a scorer did not load or failed, and where a judge stays secondary: what is kept then is not all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice, format_option
from auditlog.cli.options import open_store, record_access, store_option

if TYPE_CHECKING:
    from auditlog.values import Json
    from replay.scorers.specs import ScorerSpec


def scorer_options(command: Any) -> Any:
    """Add the options that name scorers and what they may reach."""
    for option in (
        click.option(
            "--path",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Where scorers are imported from; the current directory where it is not given.",
        ),
        click.option(
            "--env",
            multiple=True,
            metavar="NAME",
            help="A variable that a scorer with a host gets, such as OPENAI_API_KEY; may be repeated.",
        ),
        click.option(
            "--allow-host",
            "hosts",
            multiple=True,
            metavar="HOST",
            help="A judge's host that may be reached, as name:port or address; may be repeated.",
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="SCORER.KEY=VALUE",
            help="A scorer's option; VALUE is JSON, or else a text. May be repeated.",
        ),
        click.option(
            "--scorer",
            "scorers",
            multiple=True,
            metavar="[NAME=]SCORER",
            help="A scorer: its name, or module:attribute; may be repeated.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Judge what a run's executions did.")
@click.argument("run_id", metavar="RUN")
@scorer_options
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long one score may take: 30, or 300 for one that asks a host, where it is not given.",
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), metavar="N", help="Processes for each group of scorers."
)
@click.option("--again", is_flag=True, help="Judge anew what is scored already; nothing is overwritten.")
@format_choice("text", "json")
@store_option
def score(
    run_id: str,
    scorers: Sequence[str],
    options: Sequence[str],
    hosts: Sequence[str],
    env: Sequence[str],
    path: str | None,
    deadline: float | None,
    concurrency: int | None,
    again: bool,
    format: str,
    store: str,
) -> None:
    """Judge what a run's executions did; RUN is an id, a beginning of one, or `last`.

    Without --scorer, the built-in ones that need no options. Exits with 1 where a scorer did not load or failed.
    """
    from auditlog.cli.output import Progress, print_line, require_stdout
    from replay.render.scores import scores_json, scores_lines, tally_lines
    from replay.scorers.keeping import load_run_scores
    from replay.scorers.scoring import ScoringProgress, score_run

    specs = read_specs(scorers, options) or _by_default()
    with open_store(store) as opened:
        with Progress("Scoring") as shown:

            def drawn(progress: ScoringProgress) -> None:
                shown.update(progress.done, progress.total)

            report = score_run(
                opened,
                run_id,
                specs,
                progress=drawn,
                hosts=hosts,
                env=env,
                path=path,
                workers=concurrency,
                deadline=deadline,
                again=again,
            )
        record_access(opened, "replay score", ids=[report.run_id], rows=report.executions)
        kept = load_run_scores(opened, report.run_id)
    if format == "json":
        require_stdout().write(scores_json(kept, report))
    else:
        for line in (*scores_lines(kept), *tally_lines(report)):
            print_line(line)
    if report.failed:
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="List the scorers that there are.")
@format_option()
def scorers(format: str, output: str | None) -> None:
    """List the scorers that there are: ours, and those of installed packages.

    A plug-in is imported to be listed, in a process that reaches nothing; one that does not load says why.
    """
    from auditlog.cli.formats import Column, write_rows
    from replay.scorers.catalogue import catalogue

    columns = (
        Column("name", "SCORER"),
        Column("level", "LEVEL", 1),
        Column("kind", "OF", 4),
        Column("options", "OPTIONS", 3, shrinks=True, show=_words),
        Column("from", "FROM", 2, shrinks=True),
        Column("summary", "A SCORE OF 1 MEANS", 0, shrinks=True, least=30),
    )
    write_rows([entry._asdict() | {"from": entry.source} for entry in catalogue()], columns, format, output)


@click.command(short_help="Compare a judge with people's labels.")
@click.argument("run_id", metavar="RUN")
@click.argument("labels", metavar="[LABELS]", required=False, type=click.Path(dir_okay=False))
@click.option("--scorer", "name", required=True, metavar="NAME", help="The judge, by the name of its scores.")
@click.option(
    "--sheet", metavar="FILE", type=click.Path(dir_okay=False), help="Write executions to label to FILE."
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=150,
    show_default=True,
    metavar="N",
    help="With --sheet: at most N executions.",
)
@format_choice("text", "json")
@store_option
def calibrate(
    run_id: str, labels: str | None, name: str, sheet: str | None, limit: int, format: str, store: str
) -> None:
    """Compare a judge's scores of a run with people's LABELS (CSV or JSONL), by Cohen's kappa.

    A judge is secondary until 100 labels or more give a kappa whose lower bound is 0.6 or more; exits with 1 until then.
    """
    from auditlog.cli.output import destination, narrate, print_line
    from replay.scorers.calibrating import calibrate_run, calibration_lines, sheet_of

    if (labels is None) == (sheet is None):
        raise click.UsageError("Give a file of labels, or --sheet FILE to write one to fill in.")
    with open_store(store) as opened:
        if sheet is not None:
            written, rows = sheet_of(opened, run_id, name, limit)
            record_access(opened, "replay calibrate", filter=f"sheet for {name}", ids=[run_id], rows=rows)
            with destination(sheet) as file:
                file.write(written.encode())
            narrate(f"{rows} executions to label: write 1 or 0 into the column `label`.")
            return
        assert labels is not None
        found = calibrate_run(opened, run_id, name, labels)
    lines = calibration_lines(found, as_json=format == "json")
    for line in lines:
        print_line(line)
    if found.why_secondary:
        raise click.exceptions.Exit(Exit.NO)


def read_specs(scorers: Sequence[str], options: Sequence[str]) -> list[ScorerSpec]:
    """Make specs of what the command line says.

    Raises:
        ScorerError: a scorer or an option cannot be read.
    """
    from dataclasses import replace

    from replay.errors import ScorerError
    from replay.scorers.specs import parse

    specs = [parse(text) for text in scorers]
    given: dict[str, dict[str, Json]] = {}
    known = [spec.name or spec.target for spec in specs]
    for text in options:
        # An import path has dots of its own, so that the longest scorer that fits is meant.
        name = next((k for k in sorted(known, key=len, reverse=True) if text.startswith(f"{k}.")), None)
        key, equals, value = text.removeprefix(f"{name}.").partition("=")
        if name is None or not equals or not key:
            msg = f"{text!r} is no option of a scorer that is named. Write SCORER.KEY=VALUE, with --scorer SCORER."
            raise ScorerError(msg)
        given.setdefault(name, {})[key] = _value(value)
    return [replace(spec, options=given.get(name, {})) for spec, name in zip(specs, known, strict=True)]


def _by_default() -> list[ScorerSpec]:
    from replay.scorers.catalogue import ready
    from replay.scorers.specs import ScorerSpec

    return [ScorerSpec(name) for name in ready()]


def _value(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _words(options: Mapping[str, Any]) -> str:
    return ", ".join(options)
