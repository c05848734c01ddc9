"""`auditlog replay ls`, `show`, `diff` and `compare`: read what runs found, and compare recordings.

The rules:

1. A run is named by its id, a beginning of it, or `last`; a case by its id or its conversation's.
2. What is shown is in the access log before it shows.
3. Differences are an answer and no failure: only `diff --fail-on-difference` makes a 1 of them.
"""

from __future__ import annotations

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice, format_option
from auditlog.cli.options import open_store, record_access, store_option, store_words


@click.command()
@click.option("--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most N, the newest.")
@format_option()
@store_option
def ls(limit: int | None, format: str, output: str | None, store: str) -> None:
    """List runs, newest first."""
    from auditlog.cli.formats import write_rows
    from auditlog.cli.output import narrate
    from replay.cli.summary import RUN_COLUMNS, run_row
    from replay.results.loading import load_runs

    with open_store(store) as opened:
        runs = load_runs(opened)[: limit or None]
        record_access(opened, "replay ls", rows=len(runs))
    if runs or format != "table":
        write_rows([run_row(found) for found in runs], RUN_COLUMNS, format, output)
    if not runs:
        narrate("There are no runs in this store yet. `auditlog replay run --agent MODULE:ATTR` makes one.")
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="Show what a run found.")
@click.argument("run_id", metavar="RUN")
@format_choice("text", "json")
@store_option
def show(run_id: str, format: str, store: str) -> None:
    """Show what a run was and what it found; RUN is an id, a beginning of one, or `last`."""
    from replay.cli.summary import write_summary
    from replay.results.loading import load_report
    from replay.scorers.keeping import load_run_scores

    with open_store(store) as opened:
        report = load_report(opened, run_id)
        scores = load_run_scores(opened, report.run.run_id)
        record_access(opened, "replay show", ids=[report.run.run_id], rows=len(report.cases))
        write_summary(report, as_json=format == "json", cases=True, words=store_words(store), scores=scores)


@click.command(short_help="Print how the candidate behaves differently.")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--case", "case_id", metavar="ID", help="Only this case: its id, or the id of its conversation."
)
@click.option("--all", "everything", is_flag=True, help="The cases that behave the same too.")
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Cases of each group, where not all are asked for.",
)
@click.option("--fail-on-difference", is_flag=True, help="Exit with 1 where a case behaves differently.")
@format_option("text", "json", "md", "junit")
@store_option
def diff(
    run_id: str,
    case_id: str | None,
    everything: bool,
    examples: int,
    fail_on_difference: bool,
    format: str,
    output: str | None,
    store: str,
) -> None:
    """Print how the candidate behaves differently, grouped by the first divergence.

    RUN is an id, a beginning of one, or `last`.
    """
    from replay.cli.summary import write_case, write_report
    from replay.render.grouping import differs
    from replay.results.loading import load_report
    from replay.scorers.keeping import load_run_scores

    with open_store(store) as opened:
        report = load_report(opened, run_id)
        chosen = None if case_id is None else f"case {case_id}"
        is_told = case_id is not None or format == "json"
        scores = load_run_scores(opened, report.run.run_id) if is_told else None
        record_access(opened, "replay diff", filter=chosen, ids=[report.run.run_id], rows=len(report.cases))
        # What is written in full is read as it is written.
        if case_id is not None:
            report = write_case(report, case_id, format, output, scores=scores)
        else:
            write_report(report, format, output, everything=everything, examples=examples, scores=scores)
    if fail_on_difference and any(map(differs, report.cases)):
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="Compare two sets of recordings; nothing runs.")
@click.option(
    "--baseline", required=True, metavar="FILTER", help="The conversations of one side, such as tag.arm:base."
)
@click.option("--candidate", required=True, metavar="FILTER", help="Those of the other side.")
@click.option(
    "--by",
    default="task_id",
    show_default=True,
    metavar="TAG",
    help="The tag that pairs them, or `conversation` for their ids.",
)
@format_choice("text", "json")
@store_option
def compare(baseline: str, candidate: str, by: str, format: str, store: str) -> None:
    """Compare two sets of recorded conversations, without running anything.

    The comparison is kept as a run, so that `replay diff` and the terminal UI show what is behind the figures.
    """
    from auditlog.cli.output import Progress
    from auditlog.filters.language import parse
    from replay.cli.summary import write_summary
    from replay.results.compare import compare_conversations
    from replay.results.comparisons import save_comparison
    from replay.results.loading import load_report

    one, other = str(parse(baseline)), str(parse(candidate))
    with open_store(store) as opened:
        with Progress("Comparing conversations") as progress:
            sides = [list(opened.conversations(one)), list(opened.conversations(other))]
            progress.update(sum(map(len, sides)))
            record_access(opened, "replay compare", filter=f"{one} | {other}", rows=sum(map(len, sides)))
            found = compare_conversations(*sides, by=by)
        run_id = save_comparison(opened, found, baseline=one, candidate=other)
        write_summary(load_report(opened, run_id), as_json=format == "json", words=store_words(store))
