"""`auditlog demo`: shows it all with the sample agent's traffic, in a store of its own.

The rules:

1. It does what a user would do, by the same commands: import, verify, replay, look.
2. It writes into `./audit-demo`, or into a temporary directory where that cannot be, and never into $AUDITLOG_STORE.
3. What is there already is not done again: a second demo opens at once. `--again` runs the replays anew.
4. On a terminal it ends in the terminal UI, elsewhere in a summary with the command that opens it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from auditlog.cli.options import store_words
from auditlog.cli.output import is_terminal, narrate
from auditlog.errors import AuditlogError, StoreError

AGENT = "examples.support_bot"
TRACES = "support_bot.v1.otlp.jsonl.gz"
_AS_FOR_A_GATE = ("--second-baseline", "1")
# The real model takes seconds an answer, and answers one question at a time.
_SPOKEN = ("--limit", "40", "--second-baseline", "0", "--concurrency", "1")
_MODEL_VARIABLES = ("SUPPORT_BOT_MODEL", "SUPPORT_BOT_BASE_URL")


@click.command()
@click.option(
    "--directory",
    metavar="DIR",
    default="./audit-demo",
    show_default=True,
    help="Where the demo's store goes.",
)
@click.option(
    "--model",
    type=click.Choice(("embedded", "smollm2")),
    envvar="MODEL",
    default="embedded",
    show_default=True,
    help="Who words the sample agent's answers: its rules, or a real small model (see `make demo MODEL=smollm2`).",
)
@click.option("--no-tui", is_flag=True, help="Print a summary, on a terminal too.")
@click.option("--again", is_flag=True, help="Run the replays anew.")
def demo(directory: str, model: str, no_tui: bool, again: bool) -> None:
    """Show it all: a sample agent's traffic, replayed against a new version of the agent.

    The agent and its customers are invented. Nothing leaves this machine.
    """
    from auditlog.resources import directory as bundled

    examples, traces = bundled("examples"), bundled("sample_traces") / TRACES
    store = _store(directory)
    narrate(f"[1/4] The recorded traffic of a support agent goes into {store}")
    _quietly("import", str(traces), "--store", store)
    shared = ("--path", str(examples.parent), "--format", "json", "--store", store)
    narrate(
        "[2/4] Verify: the recorded version, with recorded model and tools, must come out as it was recorded"
    )
    verified = None if again else _newest_run(store, "verify", f"{AGENT}:v1")
    if verified is None:
        _quietly("replay", "verify", "--agent", f"{AGENT}:v1", *shared)
        verified = _newest_run(store, "verify", f"{AGENT}:v1")
    assert verified is not None
    narrate(f"      {verified['classes'].get('identical', 0)} of {verified['cases']} turns are identical")
    narrate(
        "[3/4] Replay: version 2 beside version 1, tools served from the recording, the world out of reach"
    )
    replayed = (
        None
        if again or model != "embedded"
        else _newest_run(store, "replay", f"{AGENT}:v2", verified["cases"])
    )
    if replayed is None:
        with _model(model, examples.parent) as options:
            _quietly(
                "replay", "run", "--agent", f"{AGENT}:v2", "--baseline", f"{AGENT}:v1", *options, *shared
            )
        replayed = _newest_run(store, "replay", f"{AGENT}:v2")
    assert replayed is not None
    run_id = replayed["run_id"]
    narrate("[4/4] What behaves differently")
    if not no_tui and is_terminal(sys.stdin) and is_terminal(sys.stdout):
        _command("tui", "--store", store, "--run", run_id)
        return
    _command("replay", "diff", run_id, "--examples", "1", "--store", store)
    words, command = store_words(store), _this_command()
    narrate(
        f"\n`{command} tui --run {run_id}{words}` opens them, `{command} ls{words}` lists the conversations."
    )


def _this_command() -> str:
    """Give what to type for this command: `make` runs it from an environment that the user's shell may not know."""
    here = Path(sys.argv[0])
    if here.name != "auditlog" or shutil.which("auditlog") == str(here.absolute()):
        return "auditlog"
    try:
        return shlex.quote(str(here.absolute().relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(here))


def _store(directory: str) -> str:
    """Give a store to demonstrate in."""
    from auditlog.layout import ensure

    try:
        ensure(directory)
    except StoreError:
        # A directory of other files is somebody's; one that cannot be written is nobody's fault.
        if Path(directory).exists() or os.access(Path(directory).parent, os.W_OK):
            raise
        directory = str(Path(tempfile.mkdtemp(prefix="auditlog-")) / "audit-demo")
        ensure(directory)
    return directory


def _newest_run(store: str, kind: str, candidate: str, cases: int | None = None) -> dict[str, Any] | None:
    """Give the newest complete run of a kind, of so many cases where that matters."""
    with contextlib.redirect_stderr(io.StringIO()):
        runs = json.loads(_quietly("replay", "ls", "--format", "json", "--store", store))
    wanted = (kind, candidate, "complete")
    return next(
        (
            run
            for run in runs
            if (run["kind"], run["candidate"], run["status"]) == wanted and cases in (None, run["cases"])
        ),
        None,
    )


def _command(*arguments: str) -> int:
    """Run one of the commands in this process, and give its exit code."""
    found = (
        click.get_current_context()
        .find_root()
        .command.main(list(arguments), "auditlog", standalone_mode=False)
    )
    return found if isinstance(found, int) else 0


def _quietly(*arguments: str) -> str:
    """Run a command, give what it wrote to stdout, and let what it narrates through.

    Raises:
        Exit: with its exit code, where that says that it could not be done.
    """
    written = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(written, "utf-8", write_through=True)):
        code = _command(*arguments)
        if code > 1:
            raise click.exceptions.Exit(code)
        return written.getvalue().decode()


@contextlib.contextmanager
def _model(name: str, root: Path) -> Iterator[Sequence[str]]:
    """Start the real model where it is asked for, and give the options of a run with it."""
    if name == "embedded":
        yield _AS_FOR_A_GATE
        return
    narrate("      Starting the model's server …")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH")))),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", f"{AGENT}.smollm2", "--port", "0"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    assert server.stderr is not None
    try:
        url = server.stdout.readline().strip()
        if not url:
            said = server.stderr.read().strip().splitlines() or ["it said nothing"]
            raise AuditlogError(f"The model's server did not start: {said[-1]}")
        os.environ.update(zip(_MODEL_VARIABLES, (name, url), strict=True))
        yield (
            "--allow-host",
            url,
            *(part for name in _MODEL_VARIABLES for part in ("--env", name)),
            *_SPOKEN,
        )
    finally:
        for variable in _MODEL_VARIABLES:
            os.environ.pop(variable, None)
        # Its standard input is what keeps it alive.
        server.stdin.close()
        server.stdout.close()
        server.stderr.close()
        server.wait(timeout=30)
