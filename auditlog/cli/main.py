"""The entry point: finds the command, runs it, and says what went wrong.

The rules:

1. A command of ours stands in the table with its one-line help, and is imported only when it is used.
2. Other packages add commands through the entry-point group `auditlog.commands`; listing them imports none of them.
3. An unknown command or option names its nearest.
4. Whatever goes wrong is turned into one sentence and an exit code here, and nowhere else. A traceback appears only
   where AUDITLOG_TRACEBACK=1 asks for it.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from auditlog.cli.exits import Exit, NoAnswerError
from auditlog.cli.plugins import Plugin, plugins
from auditlog.errors import AuditlogError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "auditlog.cli.demo:demo",
        "Show it all: a sample agent's traffic, replayed against a new version.",
    ),
    "init": ("auditlog.cli.init:init", "Make a store."),
    "doctor": ("auditlog.cli.doctor:doctor", "Say what is wrong with this set-up, and how to mend it."),
    "ls": ("auditlog.cli.ls:ls", "List conversations, newest first."),
    "show": ("auditlog.cli.show:show", "Show a conversation: what was said, retrieved, called and answered."),
    "find": ("auditlog.cli.find:find", "Search what was said, retrieved, and passed to tools."),
    "index": ("auditlog.cli.index:index", "Index what is sealed, for lists and searches."),
    "sql": ("auditlog.cli.sql:sql", "Run one SELECT over the views spans, turns and conversations."),
    "seal": ("auditlog.cli.seal:seal", "Turn finished journal files into Parquet segments."),
    "verify": (
        "auditlog.cli.verify:verify",
        "Say whether the store is what was sealed, and whether anybody has seen it.",
    ),
    "prove": (
        "auditlog.cli.prove:prove",
        "Write a proof of a conversation that needs no store to be checked.",
    ),
    "anchor": (
        "auditlog.cli.anchor:anchor",
        "Put the ledger's checkpoint where the store's owner cannot change it.",
    ),
    "access": ("auditlog.cli.access:access", "List who looked at what, newest first."),
    "compact": ("auditlog.cli.compact:compact", "Make one file a day of many small ones."),
    "prune": ("auditlog.cli.prune:prune", "Take away conversations that ended long ago."),
    "hold": ("auditlog.cli.hold:hold", "Keep conversations from being pruned or erased."),
    "release": ("auditlog.cli.hold:release", "Release a hold."),
    "erase": ("auditlog.cli.erase:erase", "Take away the content of one customer."),
    "migrate": ("auditlog.cli.migrate:migrate", "Bring a store of an older version to the present format."),
    "reveal": ("auditlog.cli.reveal:reveal", "Show a conversation with what redaction took out of it."),
    "keys": ("auditlog.cli.keys:keys", "Make the key that reveals, and list the keys of a store."),
    "import": ("auditlog.cli.import_:import_", "Read files of other tools into the store."),
    "export": ("auditlog.cli.export:export", "Write conversations for other tools."),
}
"""Our commands, in the order of `--help`."""

_KNOWN_PLUGINS = {
    "replay": "Run recorded turns against another version, and see what differs.",
    "attack": "Try what an attacker could say, and see what works.",
    "regress": "Keep recorded turns that must go on going right, and replay them.",
    "gate": "Judge a run by a policy: PASS, FAIL or INCONCLUSIVE.",
    "tui": "Look around in the terminal.",
}
"""What ships beside this package, in the order in which one uses it; what others add comes behind it."""

_PLAIN = frozenset(("ls", "show", "find", "index", "sql", "seal", "verify", "prove"))
"""Commands that run nobody else's code."""


class _ReaderGoneError(Exception):
    """Whoever read the output stopped; click would answer a BrokenPipeError by itself, with the code of an error."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Give the names of our commands, then those of other packages."""
        return [*COMMANDS, *_added()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        """Import one command."""
        if cmd_name in COMMANDS:
            if cmd_name in _PLAIN:
                _do_without_numpy()
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            found = getattr(importlib.import_module(module), attribute)
        else:
            plugin = plugins().get(cmd_name)
            if plugin is None:
                return None
            _let_numpy_in()
            found = plugin.load()
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with, or name the nearest."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            refuse_unknown(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was found."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGoneError from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click has it
        """List the commands with their one-line helps, importing none."""
        rows = [(name, help) for name, (_, help) in COMMANDS.items()]
        rows += [
            (name, _KNOWN_PLUGINS.get(name, f"From {plugin.package}.")) for name, plugin in _added().items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line, and end the process with its exit code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        _tolerate_narrow_encodings()
        try:
            found = super().main(args, prog_name or "auditlog", complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 - rule 4
            code = _ending(error)
            _let_go_of_stdout(error)
            sys.exit(code)
        sys.exit(found if isinstance(found, int) else Exit.OK)


def _added() -> dict[str, Plugin]:
    """Give the commands of other packages: those that ship with this one first."""
    found = {name: plugin for name, plugin in plugins().items() if name not in COMMANDS}
    order = [
        *(name for name in _KNOWN_PLUGINS if name in found),
        *sorted(found.keys() - _KNOWN_PLUGINS.keys()),
    ]
    return {name: found[name] for name in order}


def _do_without_numpy() -> None:
    """Keep Arrow and the engine from loading numpy and pandas, which nothing here needs, wherever these are installed."""
    if sys.argv and os.path.basename(sys.argv[0]) in ("auditlog", "__main__.py"):  # noqa: PTH119 - pathlib costs more
        for name in ("numpy", "pandas"):
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _let_numpy_in() -> None:
    """Take back what a plain command did that ran before in this process."""
    for name in ("numpy", "pandas"):
        if name in sys.modules and sys.modules[name] is None:
            del sys.modules[name]


def refuse_unknown(name: str, known: Sequence[str], ctx: click.Context) -> NoReturn:
    """Raise the usage error for a command that is not there, naming the nearest."""
    from auditlog.wording import nearest

    near = nearest(name, known)
    hint = "" if near is None else f" The nearest is `{ctx.command_path} {near}`."
    raise click.UsageError(f"There is no command {name!r}.{hint}", ctx)


def _ending(error: BaseException) -> int:
    """Say on stderr what ended the command, and give its exit code."""
    if os.environ.get("AUDITLOG_TRACEBACK") and not isinstance(
        error, click.exceptions.Exit | SystemExit | BrokenPipeError
    ):
        import traceback

        traceback.print_exception(error)
    match error:
        case NoAnswerError():
            code = _ending(error.error)
            return Exit.BUG if code == Exit.BUG else error.code
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else Exit.ERROR if error.code else Exit.OK
        case click.exceptions.NoArgsIsHelpError():
            _narrate(error.format_message())
            return Exit.USAGE
        case click.ClickException():
            _say(error.format_message())
            if isinstance(error, click.UsageError):
                path = error.ctx.command_path if error.ctx else "auditlog"
                _narrate(f"`{path} --help` says what it takes.")
            return Exit.USAGE
        case AuditlogError():
            _say(str(error))
            return Exit.ERROR
        case ImportError() if hasattr(error, "extra"):
            # What is missing is an extra that was not installed; the message says which.
            _say(str(error))
            return Exit.ERROR
        case click.Abort() | KeyboardInterrupt():
            _narrate("Interrupted; what was done is kept.")
            return Exit.INTERRUPTED
        case BrokenPipeError() | _ReaderGoneError():
            return Exit.PIPE
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            _say(
                f"{place}{error.strerror or error}. Check that the path is right, readable, and that there is room."
            )
            return Exit.ERROR
        case _:
            _say(
                f"Something happened that should not ({type(error).__name__}: {error}). "
                "This is a mistake in auditlog-replay; AUDITLOG_TRACEBACK=1 shows where."
            )
            return Exit.BUG


def _say(message: str) -> None:
    _narrate(f"error: {message}")


def _narrate(message: str) -> None:
    from auditlog.cli.output import narrate

    try:
        narrate(message)
    except OSError:
        # stderr is closed as well: the exit code alone speaks.
        pass


def _tolerate_narrow_encodings() -> None:
    # A terminal in a narrow encoding shows \u2026 where it has no `…`; it must not make a command fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stdout(error: BaseException) -> None:
    """Keep the interpreter from failing a second time when it flushes what could not be written."""
    error = error.error if isinstance(error, NoAnswerError) else error
    unwritable = isinstance(error, OSError) and error.errno in (
        errno.EPIPE,
        errno.ENOSPC,
        errno.EBADF,
        errno.EIO,
    )
    if unwritable or isinstance(error, _ReaderGoneError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            pass


@click.group("auditlog", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="auditlog-replay", prog_name="auditlog")
@click.option(
    "--store",
    metavar="DIR",
    envvar="AUDITLOG_STORE",
    help="The store; ./audit where neither this nor AUDITLOG_STORE says another.",
)
@click.option("-v", "--verbose", is_flag=True, help="Narrate more on stderr.")
@click.pass_context
def main(ctx: click.Context, store: str | None, verbose: bool) -> None:
    """Flight recorder and replay simulator for customer-facing agents."""
    ctx.ensure_object(dict)
    ctx.obj["store"] = store
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
