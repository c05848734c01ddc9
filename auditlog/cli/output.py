"""Where a command's words and data go.

The rules:

1. Data goes to stdout, narration and progress to stderr.
2. Text goes through `safe_text` before it is written as text; JSON is written with every character that a terminal
   would act on as an escape, which changes nothing for whoever parses it.
3. Narration on a terminal is broken between words, and not within a `command` that fits.
4. Colour appears on a terminal only, never where NO_COLOR is set, and never says anything alone.
5. A closed stdout is an error before any work is done with it.
6. `--output FILE` is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TextIO

import click

from auditlog.errors import AuditlogError
from auditlog.safe_text import cell_width, clip, safe_text, wrap

_NARROWEST = 40
_COMMAND = re.compile(r"`[^`\n]+`")
_NO_BREAK = "\x00"
"""Stands for a space at which no line ends; clean text holds none."""


def narrate(message: str) -> None:
    """Say something on stderr."""
    said = safe_text(message, newlines=True)
    if is_terminal(sys.stderr):
        said = _folded(said, terminal_width(sys.stderr))
    click.echo(said, err=True)


def _folded(said: str, width: int) -> str:
    def whole(command: re.Match[str]) -> str:
        return command[0].replace(" ", _NO_BREAK) if cell_width(command[0]) <= width else command[0]

    return "\n".join(wrap(_COMMAND.sub(whole, said), width)).replace(_NO_BREAK, " ")


def print_line(text: str = "") -> None:
    """Write one line, or several, of clean text to stdout."""
    require_stdout().write(text + "\n")


def require_stdout() -> TextIO:
    """Give stdout.

    Raises:
        AuditlogError: it is closed.
    """
    if sys.stdout is None or sys.stdout.closed:
        raise AuditlogError(
            "Standard output is closed, and that is where the result goes. Open it, or use --output FILE."
        )
    return sys.stdout


def is_terminal(stream: IO[Any] | None) -> bool:
    """Say whether somebody looks at a stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def terminal_width(stream: IO[Any] | None = None) -> int:
    """Give the cells of a line of output: $COLUMNS, or those of the stream's terminal (stdout's), or 100 where neither says."""
    width = shutil.get_terminal_size((100, 24)).columns
    if stream is not None and not os.environ.get("COLUMNS", "").isdecimal():
        with contextlib.suppress(OSError, ValueError):
            width = os.get_terminal_size(stream.fileno()).columns or width
    return max(_NARROWEST, width)


def styled(text: str, **style: Any) -> str:
    """Colour clean text for stdout, where that is wanted."""
    return click.style(text, **style) if has_colour() else text


def has_colour() -> bool:
    """Say whether what goes to stdout has colours (rule 4)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal(sys.stdout) and not plain


_UNSAFE_IN_JSON = re.compile(r"[^\x20-\x7e]")
# Letters are none of these, and marks are: so many of them pile up on one letter.
_MANY_MARKS = re.compile(r"[^\w\s\x00-\x7f]{9,}")


def safe_json(text: str) -> str:
    r"""Write what would act on a terminal or hide in a JSON text as `\uXXXX`; line breaks between values stay."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return _MANY_MARKS.sub(_escape_all, _UNSAFE_IN_JSON.sub(_escape_unsafe, text))


def _escape_unsafe(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\n" or (character.isprintable() and safe_text(f"x{character}") == f"x{character}"):
        return character
    return _json_escape(character)


def _escape_all(match: re.Match[str]) -> str:
    return "".join(map(_json_escape, match[0]))


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


@contextlib.contextmanager
def destination(path: str | None) -> Iterator[IO[bytes]]:
    """Open what `--output` names, or stdout; a file appears when everything is written.

    Raises:
        AuditlogError: the file cannot be written, or stdout is closed.
    """
    if path is None or path == "-":
        stream = require_stdout()
        stream.flush()
        yield stream.buffer
        stream.buffer.flush()
        return
    target = Path(path)
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise AuditlogError(
            f"{path} cannot be written: {error.strerror}. Name a file in a directory that exists."
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(draft).chmod(0o666 & ~_umask())
        Path(draft).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
    narrate(f"Wrote {path}")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Progress:
    """A line on stderr that says how far something is; nothing where stderr is no terminal."""

    def __init__(self, label: str, total: int | None = None) -> None:
        """Prepare the line.

        Args:
            label: what is under way.
            total: how many there are; None where nobody knows.
        """
        self._label = label
        self._total = total
        self._shown_at = 0.0
        self._visible = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        self.update(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Say how many are done; at most ten times a second."""
        self._total = total if total is not None else self._total
        now = time.monotonic()
        if not self._visible or (now - self._shown_at < 0.1 and done != self._total):
            return
        self._shown_at = now
        line = (
            f"{self._label} {done}"
            + (f" of {self._total}" if self._total else "")
            + (f"  {note}" if note else "")
        )
        if self._total:
            filled = round(20 * min(done, self._total) / self._total)
            line = f"{'█' * filled}{'░' * (20 - filled)} {line}"
        sys.stderr.write("\r\x1b[K" + clip(safe_text(line), terminal_width(sys.stderr) - 1))
        sys.stderr.flush()
