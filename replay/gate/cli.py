"""`auditlog gate`: judges a run by a policy.

The rules:

1. The exit code is the verdict: 0 PASS, 1 FAIL, 2 INCONCLUSIVE. 3 is an error, and so is a command line without meaning: a
   pipeline must not take a typing mistake for a verdict.
2. The verdict is written to stdout, or where `--output` says; everything else goes to stderr. `--show` ends with the code of the
   newest verdict that is recorded, and with 3 where there is none; `--self-test` with 1 where the gate misses what it claims to
   see.
3. The verdict is recorded in the store, unless `--no-record` says otherwise.
4. What a command needs is imported when it runs, so that `--help` is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import GateCommand, GateExit
from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, record_access, store_option, store_words
from auditlog.errors import AuditlogError
from auditlog.wording import unknown

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.gate.check import Verdict
    from replay.gate.policy import Policy

FORMATS = ("text", "json", "junit", "sarif", "md", "html")


@click.command(cls=GateCommand, short_help="Judge a run by a policy: PASS, FAIL or INCONCLUSIVE.")
@click.argument("run_id", metavar="RUN", required=False)
@click.option(
    "--policy", "policy_path", metavar="FILE", type=click.Path(dir_okay=False), help="The policy, as TOML."
)
@format_choice(*FORMATS, help="How to write the verdict.")
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    metavar="[FORMAT=]FILE",
    help="Write to FILE, such as junit=gate.xml; may be repeated.",
)
@click.option("--no-confirm", is_flag=True, help="Run nothing: no case again, and no scorer.")
@click.option("--no-record", is_flag=True, help="Do not record the verdict in the store.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host that scorers may reach; may be repeated.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="NAME",
    help="A variable for scorers that reach a host, such as a judge's key; may be repeated.",
)
@click.option(
    "--path",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Where the run was begun; the current directory where it is not given.",
)
@click.option(
    "--self-test", is_flag=True, help="Plant regressions in a copy of the run, and say which are caught."
)
@click.option("--show", is_flag=True, help="Show the verdicts that were given of RUN.")
@click.option("--init", is_flag=True, help="Write a commented policy to gate.toml, or to --policy FILE.")
@store_option
def gate(
    run_id: str | None,
    policy_path: str | None,
    format: str,
    outputs: Sequence[str],
    no_confirm: bool,
    no_record: bool,
    hosts: Sequence[str],
    env: Sequence[str],
    path: str | None,
    self_test: bool,
    show: bool,
    init: bool,
    store: str,
) -> None:
    """Judge a run by a policy. RUN is an id, a beginning of one, or `last`.

    \b
    Exits with 0 for PASS,
              1 for FAIL,
              2 for INCONCLUSIVE: what is missing is said,
              3 where there is no verdict: an error, or a command line without meaning.
    """  # noqa: D301 - click's mark for lines that are kept
    if sum((self_test, show, init)) > 1:
        raise click.UsageError("--self-test, --show and --init each do one thing: give one of them.")
    if init:
        _init(run_id, policy_path or "gate.toml")
        return
    if run_id is None:
        raise click.UsageError("Name the run to judge, or `last`. `auditlog replay ls` lists them.")
    if show:
        _show(run_id, format, outputs, store)
        return
    if policy_path is None:
        raise click.UsageError("Name the policy with --policy FILE. `auditlog gate --init` writes one.")
    if self_test:
        _self_test(run_id, policy_path, format, path, store)
        return
    places = _places(outputs)
    with open_store(store) as opened:
        verdict = _judged(
            opened, run_id, policy_path, hosts, env, path, confirms=not no_confirm, records=not no_record
        )
    _write(verdict, format, places)
    if verdict.outcome != "PASS":
        from auditlog.cli.output import narrate

        narrate(
            f"`auditlog replay diff {verdict.run_id}{store_words(store)}` shows what behaves differently."
        )
    raise click.exceptions.Exit(GateExit[verdict.outcome])


def _judged(
    store: Store,
    run_id: str,
    policy_path: str,
    hosts: Sequence[str],
    env: Sequence[str],
    path: str | None,
    *,
    confirms: bool,
    records: bool,
) -> Verdict:
    from dataclasses import replace

    from auditlog.cli.output import narrate
    from replay.gate.judge import judge
    from replay.gate.record import record

    policy = read_policy_file(policy_path)
    progress = _Progress()
    try:
        verdict = judge(
            store,
            run_id,
            policy,
            runs=confirms,
            hosts=hosts,
            env=env,
            path=path,
            narrate=narrate,
            progress=progress,
        ).verdict
    finally:
        progress.close()
    record_access(store, "gate", ids=[verdict.run_id], rows=verdict.cases)
    return replace(verdict, record=record(store, verdict)) if records else verdict


def read_policy_file(path: str) -> Policy:
    """Read a policy, with every scorer that is installed for a metric."""
    from datetime import UTC, datetime

    from replay.gate.metrics import known_metrics
    from replay.gate.policy import load_policy
    from replay.scorers.builtin import BUILT_IN
    from replay.scorers.specs import plugins

    return load_policy(path, known_metrics([*BUILT_IN, *plugins()]), today=datetime.now(UTC).date())


class _Progress:
    """A line on stderr for each step that takes time."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    def __call__(self, label: str) -> Any:
        from auditlog.cli.output import Progress

        line = Progress(label)
        self._open.append(line)
        return lambda so_far: line.update(so_far.done, so_far.total)

    def close(self) -> None:
        for line in self._open:
            line.__exit__(None, None, None)


def _places(outputs: Sequence[str]) -> list[tuple[str | None, str]]:
    """Read `FORMAT=FILE`, or a file's name alone."""
    places: list[tuple[str | None, str]] = []
    for given in outputs:
        form, equals, path = given.partition("=")
        if equals and form in FORMATS and path:
            places.append((form, path))
        elif equals and "/" not in form and "." not in form:
            raise click.BadParameter(unknown("format", form, FORMATS), param_hint="--output")
        else:
            places.append((None, given))
    return places


def _write(verdict: Verdict, form: str, places: Sequence[tuple[str | None, str]]) -> None:
    from auditlog.cli.output import destination, require_stdout

    written_plainly = False
    for chosen, path in places:
        written_plainly = written_plainly or chosen is None
        with destination(path) as file:
            file.write(rendered(verdict, chosen or form).encode("utf-8", "backslashreplace"))
    if not written_plainly:
        require_stdout().write(rendered(verdict, form, terminal=True))


def rendered(verdict: Verdict, form: str, *, terminal: bool = False) -> str:
    """Write a verdict in a format.

    Args:
        verdict: what to write.
        form: one of `FORMATS`.
        terminal: whether it goes to stdout, with its width and colours.
    """
    match form:
        case "json":
            from replay.gate.outputs.json import json

            return json(verdict)
        case "junit":
            from replay.gate.outputs.junit import junit

            return junit(verdict)
        case "sarif":
            from replay.gate.outputs.sarif import sarif

            return sarif(verdict)
        case "md":
            from replay.gate.outputs.markdown import markdown

            return markdown(verdict)
        case "html":
            from replay.gate.outputs.html import html

            return html(verdict)
        case _:
            from auditlog.cli.output import has_colour, terminal_width
            from replay.gate.outputs.terminal import text
            from replay.render.wording import FILE_WIDTH

            return text(
                verdict, width=terminal_width() if terminal else FILE_WIDTH, colour=terminal and has_colour()
            )


def _init(run_id: str | None, path: str) -> None:
    from pathlib import Path

    from auditlog.cli.output import narrate
    from replay.gate.first_policy import FIRST_POLICY

    if run_id is not None:
        raise click.UsageError("--init takes no run.")
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(FIRST_POLICY)
    except FileExistsError:
        raise AuditlogError(f"{path} is there already. Name another file with --policy FILE.") from None
    narrate(f"Wrote {path}. Put in an owner, then: auditlog gate last --policy {path}")


def _show(run_id: str, form: str, outputs: Sequence[str], store: str) -> None:
    from auditlog.cli.output import narrate, print_line, require_stdout, safe_json
    from auditlog.safe_text import safe_text
    from replay.gate.record import verdicts_of

    if form not in ("text", "json") or outputs:
        raise click.UsageError("--show writes text or JSON to stdout.")
    with open_store(store) as opened:
        whole, found = verdicts_of(opened, run_id)
        record_access(opened, "gate --show", ids=[whole], rows=len(found))
    if form == "json":
        import orjson

        require_stdout().write(safe_json(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()) + "\n")
    else:
        for verdict in found:
            not_passed = [
                str(check.get("id"))
                for check in verdict["checks"]
                if check.get("gates") and check.get("outcome") != "PASS"
            ]
            print_line(
                safe_text(
                    f"{verdict['verdict']:<13} {verdict['judged'][:16].replace('T', ' ')} UTC  level {verdict.get('level')}  "
                    f"policy {str(verdict.get('policy_digest'))[:12]}…  {', '.join(not_passed) or 'all checks hold'}"
                )
            )
    if not found:
        narrate(
            f"No verdict of run {whole} is recorded here. `auditlog gate {whole} --policy FILE` gives one."
        )
        raise click.exceptions.Exit(GateExit.NO_VERDICT)
    raise click.exceptions.Exit(GateExit[found[-1]["verdict"]])


def _self_test(run_id: str, policy_path: str, form: str, path: str | None, store: str) -> None:
    from auditlog.cli.output import narrate, print_line, require_stdout
    from replay.gate.self_test import self_test, table

    if form not in ("text", "json"):
        raise click.UsageError("--self-test writes text or JSON.")
    policy = read_policy_file(policy_path)
    progress = _Progress()
    with open_store(store) as opened:
        try:
            found = self_test(opened, run_id, policy, path=path, progress=progress("Planting"))
        finally:
            progress.close()
        record_access(opened, "gate --self-test", ids=[found.run_id], rows=found.cases)
    if form == "json":
        import orjson

        require_stdout().write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        for line in table(found):
            print_line(line)
    narrate("Nothing was written into the store.")
    if found.misses:
        raise click.exceptions.Exit(GateExit.FAIL)
