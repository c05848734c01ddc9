"""`auditlog regress run` and `judge`: replays the set with a candidate, and says what became of each case.

The rules:

1. All of the set is run: there is no filter, no limit and no sample.
2. The exit code is the verdict's. A run that did not come to its end has none, and says how to go on.
3. A case that the version in production fails, too, is unstable.
"""

from __future__ import annotations

import click

from auditlog.cli.exits import GateCommand, GateExit
from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, record_access, store_option, store_words
from replay.cli.option_groups import Given, SectionedGateCommand, options_of
from replay.cli.regress.writing import write_results
from replay.cli.run_options import Baseline, Repeats, Target
from replay.cli.running import execute, refuse_unfinished
from replay.cli.serving_options import EVERY_RUN, Engine, Served


@click.command(cls=SectionedGateCommand, short_help="Replay the set with a candidate, and judge each case.")
@options_of(Target, Baseline, Repeats, Served, *EVERY_RUN, Engine)
@format_choice("text", "json")
@store_option
def run(given: Given, format: str, store: str) -> None:
    """Replay the regression set with a candidate. Exits with 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 where there is no verdict."""
    from replay.regress.running import judged, plan_set

    given[Target].require()
    with open_store(store) as opened:
        planned = plan_set(opened, **given.planning())
        record_access(opened, "regress run", ids=[planned.run_id], rows=len(planned.cases))
        words = store_words(store)
        summary = execute(opened, planned, " of the regression set")
        refuse_unfinished(summary, words, f" Then `auditlog regress judge {summary.run_id}{words}`.")
        results = judged(opened, planned.run_id)
        opened.seal(wait=False)
    write_results(results, format)
    raise click.exceptions.Exit(GateExit[results.verdict])


@click.command(cls=GateCommand, short_help="Judge a run by the set.")
@click.argument("run_id", metavar="RUN")
@format_choice("text", "json")
@store_option
def judge(run_id: str, format: str, store: str) -> None:
    """Judge a run that is there by the regression set; RUN is an id, a beginning of one, or `last`. Exits as `run` does."""
    from replay.regress.running import judged

    with open_store(store) as opened:
        results = judged(opened, run_id)
        record_access(opened, "regress judge", ids=[results.run_id], rows=len(results.cases))
    write_results(results, format)
    raise click.exceptions.Exit(GateExit[results.verdict])
