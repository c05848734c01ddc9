"""The exit codes of the command, all of them.

The rules:

1. 0 is yes and 1 is no: whether something was found, is in order, or behaves the same.
2. Everything from 2 on means that there is no answer.
3. A command whose answers are codes of its own (`verify`, `gate`, `regress run`, `regress judge`) is an `OwnCodes`, its codes
   stand here, and one of them is for having no answer: no code of an answer ever means a typing mistake.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, ClassVar

import click

from auditlog.errors import AuditlogError


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    """It did what was asked."""
    NO = 1
    """It did, and the answer is no: nothing matches, something is wrong here, something behaves differently."""
    USAGE = 2
    """The command line has no meaning."""
    ERROR = 3
    """It could not be done: the message says why, and what to do."""
    BUDGET = 4
    """A budget ended it before it was done; what was done is kept."""
    BUG = 70
    """A mistake in this program."""
    INTERRUPTED = 130
    """Ctrl-C; what was done is kept."""
    PIPE = 141
    """Whoever read the output stopped reading, as `head` does."""


class Verdict(IntEnum):
    """What `auditlog verify` ends with."""

    OK = 0
    """VALID, or VALID-BUT-UNANCHORED."""
    INVALID = 1
    """A file is damaged, missing, planted, or not what the ledger says."""
    DIVERGED = 2
    """The ledger is another than the one that somebody outside has seen."""
    UNANCHORED = 3
    """Nobody outside has seen the ledger, and --require-anchor asks for it."""
    NO_ANSWER = 4
    """The command line has no meaning, or there is no store: not the codes above, which a pipeline takes for outcomes."""


class GateExit(IntEnum):
    """What `auditlog gate`, `regress run` and `regress judge` end with."""

    PASS = 0
    """Everything that was asked is shown."""
    FAIL = 1
    """Something is shown to be wrong."""
    INCONCLUSIVE = 2
    """Something is not shown; what is missing is said."""
    NO_VERDICT = 3
    """An error, or a command line without meaning."""


class NoAnswerError(Exception):
    """A command with codes of its own ended without an answer; what ended it is `error`."""

    def __init__(self, error: Exception, code: IntEnum) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


class OwnCodes(click.Command):
    """A command whose answers are codes, and which ends with `no_answer` where it has none."""

    no_answer: ClassVar[IntEnum]

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        """Read the command line."""
        with self._without_answer():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Run."""
        with self._without_answer():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _without_answer(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # Whoever read the output stopped; that is no lack of an answer.
            raise
        except (click.ClickException, AuditlogError, OSError, ImportError) as error:
            raise NoAnswerError(error, self.no_answer) from error


class GateCommand(OwnCodes):
    """A command that ends with a verdict."""

    no_answer = GateExit.NO_VERDICT
