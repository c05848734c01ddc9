"""`auditlog regress`: keeps a set of recorded turns that must go on going right, and replays it.

The rules:

1. `regress run` ends with its verdict as `gate` does: 0 PASS, 1 FAIL, 2 INCONCLUSIVE; 3 is an error, a mistyped command among
   them.
2. Of a sealed case nothing is shown but that it is there and how it came out. `show --unseal` shows it, and the ledger keeps
   who did that.
3. What a command needs is imported when it runs, so that `--help` is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit, GateCommand, GateExit
from auditlog.cli.formats import Column, format_option, moment, write_rows
from auditlog.cli.options import open_store, record_access, store_option, store_words
from auditlog.cli.output import narrate, print_line
from auditlog.errors import AuditlogError
from auditlog.safe_text import safe_text
from replay.cli.groups import OrderedGroup
from replay.cli.match_options import rules_of
from replay.cli.mode_options import mode_options
from replay.cli.running import execute, one_of, refuse_unfinished, target_options

if TYPE_CHECKING:
    from replay.regress.expectations import Expectations
    from replay.regress.judging import RegressionResults
    from replay.regress.keeping import RegressionCase
    from replay.sandbox.modes import Modes

_SEALED = "(sealed)"


@click.group(cls=OrderedGroup)
def regress() -> None:
    """Keep recorded turns that must go on going right, with what is expected of each, and replay them."""


@click.command(short_help="Put a recorded conversation into the set.")
@click.argument("id", metavar="[ID]", required=False)
@click.option(
    "--turn", type=click.IntRange(min=1), metavar="N", help="Only the Nth turn of the conversation."
)
@click.option(
    "--reviewed",
    is_flag=True,
    help="Every turn of which a person changed the draft, instead of one conversation.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="WHAT",
    help="tool:NAME {ARGUMENTS}, escalation, refusal, text:PATTERN or fact:VALUE; may be repeated.",
)
@click.option(
    "--forbid",
    multiple=True,
    metavar="WHAT",
    help="The same; also write (any that is not expected) and act:NAME. May be repeated.",
)
@click.option(
    "--expectations",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="All that is expected, as TOML, in place of what the turn lets expect.",
)
@click.option(
    "--sealed/--open",
    default=None,
    help="Whether the case is shown; where neither is said, the hash decides.",
)
@click.option(
    "--sealed-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="The share of new cases that the hash seals.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why it is in the set.")
@store_option
def add(
    id: str | None,
    turn: int | None,
    reviewed: bool,
    expect: Sequence[str],
    forbid: Sequence[str],
    expectations: str | None,
    sealed: bool | None,
    sealed_share: float,
    reason: str,
    store: str,
) -> None:
    """Put the turns of a recorded conversation into the regression set; of a case that is in it, change what is expected.

    What the recorded turn did is expected: its writes and no others, and its hand-off or that there is none. Where a person
    changed the agent's draft, what the person took out is forbidden.
    """
    from replay.regress import keeping
    from replay.regress.expectations import from_words

    if (id is None) is not reviewed:
        raise click.UsageError("Name one conversation, or say --reviewed.")
    more = from_words(expect, forbid)
    written = None if expectations is None else _read_expectations(expectations)
    with open_store(store) as opened:
        turns = keeping.turns_named(opened, id, turn) if id is not None else keeping.reviewed_turns(opened)
        record_access(
            opened, "regress add", ids=[t.agent.conversation_id or "" for t in turns], rows=len(turns)
        )
        added, refused = 0, ""
        for one in turns:
            try:
                promoted = keeping.add(
                    opened, one, written, more=more, sealed=sealed, sealed_share=sealed_share, reason=reason
                )
            except AuditlogError as error:
                if len(turns) == 1:
                    raise
                refused = str(error)
                narrate(f"Turn {one.index + 1} of {one.agent.conversation_id} is left out: {error}")
                continue
            added += 1
            _say_case(promoted.case, {"add": "Added", "edit": "Changed"}[promoted.event], promoted.version)
            if promoted.held:
                narrate(f"It is not held against pruning: {promoted.held}")
        if not turns:
            narrate("There is no such turn: nobody changed a draft in this store.")
        if not added:
            raise click.exceptions.Exit(Exit.NO if not refused else Exit.ERROR)


@click.command(short_help="List the cases of the set.")
@format_option("table", "json", "jsonl", "csv")
@store_option
def ls(format: str, output: str | None, store: str) -> None:
    """List the cases of the set; of a sealed one, that it is there."""
    from replay.regress.keeping import load_set

    columns = (
        Column("case", "CASE"),
        Column("conversation", "CONVERSATION", 1, shrinks=True),
        Column("turn", "TURN", 2, right=True),
        Column("expected", "EXPECTED", 1, right=True),
        Column("reviewed", "REVIEWED", 3),
        Column("reason", "WHY", 2, shrinks=True),
    )
    with open_store(store) as opened:
        found = load_set(opened)
        record_access(opened, "regress ls", rows=len(found.cases))
    if found.cases or format != "table":
        write_rows([_row(case) for case in found.cases], columns, format, output)
    gone = f"; {found.erased} changes were erased" if found.erased else ""
    narrate(f"Version {found.version}, digest {found.digest[:12]}, {len(found.cases)} cases{gone}.")
    if not found.cases:
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="Show what is expected of a case.")
@click.argument("case", metavar="CASE")
@click.option("--unseal", is_flag=True, help="Show a sealed case, too; the ledger keeps who did.")
@store_option
def show(case: str, unseal: bool, store: str) -> None:
    """Show what is expected of a case; CASE is its id, a beginning of it, or its conversation's."""
    from replay.regress.expectations import words
    from replay.regress.keeping import load_set

    with open_store(store) as opened:
        found = load_set(opened).case(case)
        told = "unsealed" if found.sealed and unseal else None
        record_access(opened, "regress show", filter=told, ids=[found.conversation_id], rows=1)
    print_line(f"case {found.case_id} · digest {found.digest[:12]}")
    if found.sealed and not unseal:
        print_line(
            "It is sealed: neither what was recorded nor what is expected is shown. --unseal shows it."
        )
        return
    print_line(
        f"{safe_text(found.conversation_id)} turn {found.turn_index + 1} · {safe_text(found.agent_name)}"
    )
    if found.reason:
        print_line(f"added because {safe_text(found.reason)}")
    for said in words(found.expected):
        print_line(f"  {safe_text(said)}")


@click.command(short_help="Take a case out of the set.")
@click.argument("case", metavar="CASE")
@store_option
def rm(case: str, store: str) -> None:
    """Take a case out of the set; what was recorded stays, and so does its history."""
    from replay.regress.keeping import load_set, remove

    with open_store(store) as opened:
        gone = remove(opened, case)
        version = load_set(opened).version
    print_line(f"Removed {gone.case_id}; the set is at version {version}.")


@click.command(short_help="List the versions of the set.")
@format_option("table", "json", "jsonl", "csv")
@store_option
def history(format: str, output: str | None, store: str) -> None:
    """List every change of the set, with the digest that it had then."""
    from replay.regress.keeping import history as changes_of

    columns = (
        Column("version", "VERSION", right=True),
        Column("time", "WHEN", 1, show=moment),
        Column("who", "WHO", 2, shrinks=True),
        Column("event", "CHANGE"),
        Column("case", "CASE"),
        Column("digest", "DIGEST", show=lambda digest: str(digest)[:12]),
    )
    with open_store(store) as opened:
        changes = changes_of(opened)
        record_access(opened, "regress history", rows=len(changes))
    rows = [
        {
            "version": c.version,
            "time": c.time,
            "who": c.who,
            "event": c.event,
            "case": c.case_id,
            "digest": c.digest,
        }
        for c in changes
    ]
    if rows or format != "table":
        write_rows(rows, columns, format, output)
    if not rows:
        narrate("The regression set never had a case. `auditlog regress add CONVERSATION` makes one.")
        raise click.exceptions.Exit(Exit.NO)


@click.command(cls=GateCommand, short_help="Replay the set with a candidate, and judge each case.")
@target_options
@mode_options
@click.option(
    "--baseline",
    metavar="SPEC",
    help="The version in production, run again: what it fails, too, is unstable.",
)
@click.option("--baseline-adapter", metavar="MODULE:FUNCTION", help="The same, as an adapter.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="How often each case runs in each arm.",
)
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write it.",
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
    match: str | None,
    concurrency: int | None,
    modes: Modes,
    format: str,
    store: str,
    **given: Any,
) -> None:
    """Replay the regression set with a candidate. Exits with 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 where there is no verdict."""
    from replay.regress.running import judged, plan_set

    for name, value in (("where", where), ("since", since), ("until", until), ("limit", limit)):
        if value is not None:
            raise click.UsageError(f"All of the set is run; --{name} has no meaning here.")
    candidate, is_adapter = one_of("--agent", agent, "--adapter", adapter, required=True)
    compared, is_baseline_adapter = one_of("--baseline", baseline, "--baseline-adapter", baseline_adapter)
    with open_store(store) as opened:
        planned = plan_set(
            opened,
            candidate,
            baseline=compared or None,
            adapter=is_adapter,
            baseline_adapter=is_baseline_adapter,
            modes=modes,
            workers=concurrency,
            matching=rules_of(match),
            **given,
            **planning,
        )
        record_access(opened, "regress run", ids=[planned.run_id], rows=len(planned.cases))
        words = store_words(store)
        summary = execute(opened, planned, " of the regression set")
        refuse_unfinished(summary, words, f" Then `auditlog regress judge {summary.run_id}{words}`.")
        results = judged(opened, planned.run_id)
        opened.seal(wait=False)
    _write_results(results, format)
    raise click.exceptions.Exit(GateExit[results.verdict])


@click.command(cls=GateCommand, short_help="Judge a run by the set.")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write it.",
)
@store_option
def judge(run_id: str, format: str, store: str) -> None:
    """Judge a run that is there by the regression set; RUN is an id, a beginning of one, or `last`. Exits as `run` does."""
    from replay.regress.running import judged

    with open_store(store) as opened:
        results = judged(opened, run_id)
        record_access(opened, "regress judge", ids=[results.run_id], rows=len(results.cases))
    _write_results(results, format)
    raise click.exceptions.Exit(GateExit[results.verdict])


def _write_results(results: RegressionResults, format: str) -> None:
    import json

    if format == "json":
        print_line(json.dumps(_object(results), indent=1, ensure_ascii=False))
        return
    counts = results.counts
    said = ", ".join(
        f"{counts[name]} {name}" for name in ("failed", "unstable", "unjudged", "passed") if counts.get(name)
    )
    print_line(
        f"{results.verdict} · {said or 'no cases'} · version {results.version}, digest {results.digest[:12]}"
    )
    if results.unstable_too_often:
        print_line(
            f"The unstable cases fail more often than their known rates explain (p = {results.excess_p:.2g})."
        )
    for verdict in results.cases:
        if verdict.status == "passed":
            continue
        case = verdict.case
        if case.sealed:
            print_line(f"  {verdict.status:<9} {case.case_id} {_SEALED}")
            continue
        where = f"{safe_text(case.conversation_id)} turn {case.turn_index + 1}"
        print_line(f"  {verdict.status:<9} {case.case_id} {where}: {safe_text(verdict.why)}")


def _object(results: RegressionResults) -> dict[str, Any]:
    return {
        "run_id": results.run_id,
        "verdict": results.verdict,
        "version": results.version,
        "digest": results.digest,
        "counts": dict(results.counts),
        "excess_p": results.excess_p,
        "cases": [
            {
                "case": verdict.case.case_id,
                "conversation": None if verdict.case.sealed else verdict.case.conversation_id,
                "sealed": verdict.case.sealed,
                "status": verdict.status,
                "level": verdict.level or None,
                "why": verdict.why,
                "evidence": list(verdict.evidence),
                "candidate": verdict.candidate._asdict(),
                "baseline": verdict.known._asdict(),
                "flake_rate": verdict.flake_rate,
            }
            for verdict in results.cases
        ],
    }


def _read_expectations(path: str) -> Expectations:
    from pathlib import Path

    from replay.errors import RunError
    from replay.regress.expectations import from_toml

    try:
        return from_toml(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"The expectations in {path} cannot be read: {error}.") from None


def _say_case(case: RegressionCase, done: str, version: int) -> None:
    from replay.regress.expectations import words

    where = _SEALED if case.sealed else f"{safe_text(case.conversation_id)} turn {case.turn_index + 1}"
    print_line(f"{done} {case.case_id} · {where} · version {version}")
    for said in () if case.sealed else words(case.expected):
        print_line(f"  {safe_text(said)}")


def _row(case: RegressionCase) -> dict[str, object]:
    if case.sealed:
        return {"case": case.case_id, "conversation": _SEALED}
    return {
        "case": case.case_id,
        "conversation": case.conversation_id,
        "turn": case.turn_index + 1,
        "expected": case.expected.count,
        "reviewed": "yes" if case.reviewed else "",
        "reason": case.reason,
    }


for _command in (add, ls, show, rm, history, run, judge):
    regress.add_command(_command)
