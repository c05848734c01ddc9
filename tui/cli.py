"""`auditlog tui`."""

from __future__ import annotations

from pathlib import Path

import click

from auditlog.cli.exits import Exit
from auditlog.cli.options import store_option

_HUNG_UP = 129
"""What a shell says of a process that SIGHUP ended."""


@click.command("tui", short_help="Look around in the terminal.")
@store_option
@click.option(
    "--run", "run_id", metavar="RUN", help="Open what this replay run found; `last` for the newest."
)
@click.option("--conversation", metavar="ID", help="Open this conversation; the beginning of its id will do.")
@click.option(
    "--reveal-key",
    metavar="FILE",
    envvar="AUDITLOG_REVEAL_KEY",
    type=click.Path(path_type=Path),
    help="The private key with which U reveals; $AUDITLOG_REVEAL_KEY where it is not given.",
)
@click.option(
    "--reveal-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5,
    show_default=True,
    metavar="N",
    help="After how many minutes what was revealed is hidden again.",
)
def tui(
    store: str, run_id: str | None, conversation: str | None, reveal_key: Path | None, reveal_minutes: float
) -> None:
    """Look around in the terminal: conversations, what is behind them, and what replays found.

    Every key is listed on `?`, and every view says on `c` which command prints the same.
    """
    import os
    import sys

    from auditlog import background
    from auditlog.store import Store

    if run_id is not None and conversation is not None:
        raise click.UsageError("--run and --conversation each open a screen: give one of them.")
    # What the command line names is looked up before the screen is taken, so that a miss is a sentence.
    opened = Store.open(store)
    opened.shows_structure = True
    background.start_for_reader(opened.path)
    if conversation is not None:
        conversation = opened.conversation(conversation).conversation_id
    if run_id is not None:
        from replay.running.runs import load_manifest

        run_id = str(load_manifest(opened, run_id)["run_id"])
    # Textual draws on stderr and reads from stdin.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise click.UsageError(
            "`auditlog tui` needs a terminal. `auditlog ls` and `auditlog show ID` print the same."
        )
    from tui.app import AuditApp
    from tui.keys import load

    _end_with_the_terminal(sys.stdin.fileno())
    _take_any_bytes()
    # From here on the reader's thread alone uses the store, and closes it.
    app = AuditApp(
        lambda: opened,
        store,
        run_id=run_id,
        conversation=conversation,
        keymap=load(),
        reveal_key=reveal_key,
        reveal_minutes=reveal_minutes,
    )
    app.run()
    if app.reader.busy:
        # Nothing is written, so nothing is lost; unwinding under a query would only print the engine's complaints.
        sys.stderr.flush()
        os._exit(Exit.BUG if app.return_code else Exit.OK)
    if app.return_code:
        raise click.exceptions.Exit(Exit.BUG)


def _take_any_bytes() -> None:
    """Let what is typed or pasted be any bytes: Textual's own decoder is strict, and would end the program."""
    import codecs
    import functools

    from textual.drivers import linux_driver

    def decoder(encoding: str) -> functools.partial[codecs.IncrementalDecoder]:
        return functools.partial(codecs.getincrementaldecoder(encoding), "replace")

    setattr(linux_driver, "getincrementaldecoder", decoder)  # noqa: B010 - it is the module's own import


def _end_with_the_terminal(descriptor: int) -> None:
    """End the process when its terminal goes away, also where no SIGHUP comes: reading from it would spin for ever."""
    import os
    import select
    import threading

    def wait() -> None:
        poll = select.poll()
        # A hang-up is told whatever is asked for; nothing else wakes this thread.
        poll.register(descriptor, 0)
        poll.poll()
        os._exit(_HUNG_UP)

    threading.Thread(target=wait, name="auditlog-tui-hang-up", daemon=True).start()
