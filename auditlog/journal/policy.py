"""What happens when the journal cannot take a record.

The rules:

1. Three steps, in this order, each of them optional but the last: wait (`block`), write elsewhere (`spill`), and then
   `continue`, `raise` or `fail_closed`.
2. `block(seconds)` bounds what one outage costs a caller in all, not what each record does: once that time is over, records
   of the same outage are tried without waiting.
3. `spill(directory)` is where records go meanwhile, in files of the journal's own form; sealing takes them in.
4. `continue` (the default): the record is lost and counted, and the agent goes on.
5. `raise`: the call whose record cannot be kept raises RecordingError: before its body where it is the START, after it
   where it is the END. The next call tries anew.
6. `fail_closed`: as `raise`; and from the first lost record or failed sync on no decorated call begins, until what was lost
   is written down and on the disk.
7. What has no meaning is a ConfigurationError, at once and not at the first outage.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from auditlog.errors import ConfigurationError

Then = Literal["continue", "raise", "fail_closed"]

MAX_BLOCK_SECONDS = 600.0
"""Longer than this nobody waits for a disk on purpose."""

_STEP = re.compile(r"\s*(?P<word>[a-z_]+)\s*(?:\(\s*(?P<value>[^()]*?)\s*\))?\s*")
_EXAMPLE = "Write it as 'block(0.5), spill(/var/tmp/audit), continue': each step is optional but the last."


@dataclass(frozen=True, slots=True)
class OnFailure:
    """What to do with a record that the journal does not take."""

    then: Then = "continue"
    """What happens when the other steps did not help."""
    block_seconds: float = 0.0
    """How long callers wait in one outage for the journal to take records again."""
    spill: Path | None = None
    """A directory, best on another disk, that takes the records meanwhile."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.then not in get_args(Then):
            msg = f"on_failure ends with {self.then!r}, and must end with {', '.join(get_args(Then))}. {_EXAMPLE}"
            raise ConfigurationError(msg)
        seconds = self.block_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise ConfigurationError(
                f"on_failure blocks for {seconds!r}, which is no number of seconds. {_EXAMPLE}"
            )
        if not 0 <= seconds <= MAX_BLOCK_SECONDS:
            msg = (
                f"on_failure blocks for {seconds:g} seconds; from 0 to {MAX_BLOCK_SECONDS:g} have a meaning."
            )
            raise ConfigurationError(msg)

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        steps = [f"block({self.block_seconds:g})"] if self.block_seconds else []
        if self.spill is not None:
            steps.append(f"spill({self.spill})")
        return ", ".join([*steps, self.then])


def parse(text: str | OnFailure) -> OnFailure:
    """Read a policy such as `block(0.5), spill(/var/tmp/audit), raise`.

    Raises:
        ConfigurationError: it has no meaning.
    """
    if isinstance(text, OnFailure):
        return text
    if not isinstance(text, str):
        raise ConfigurationError(f"on_failure is {text!r}, and must be a text or an OnFailure. {_EXAMPLE}")
    *before, last = text.split(",")
    block, spill, order = 0.0, None, 0
    for step in before:
        word, value = _step(step)
        if word == "block" and value and order < 1:
            block, order = _seconds(value), 1
        elif word == "spill" and value and order < 2:
            spill, order = Path(os.path.abspath(os.path.expanduser(value))), 2  # noqa: PTH100, PTH111
        else:
            raise ConfigurationError(
                f"on_failure={text!r}: {step.strip()!r} has no meaning there. {_EXAMPLE}"
            )
    word, value = _step(last)
    if value is not None or word not in get_args(Then):
        msg = f"on_failure={text!r} ends with {last.strip()!r}, and must end with {', '.join(get_args(Then))}. {_EXAMPLE}"
        raise ConfigurationError(msg)
    return OnFailure(word, block, spill)  # type: ignore[arg-type]


def _step(text: str) -> tuple[str, str | None]:
    found = _STEP.fullmatch(text)
    return (found["word"], found["value"]) if found else (text.strip(), None)


def _seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise ConfigurationError(f"on_failure: {text!r} is no number of seconds. {_EXAMPLE}") from None
