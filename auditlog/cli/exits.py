"""The exit codes of the command, all of them.

The rules:

1. 0 is yes and 1 is no: whether something was found, is in order, or behaves the same.
2. Everything from 2 on means that there is no answer.
"""

from __future__ import annotations

from enum import IntEnum


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
