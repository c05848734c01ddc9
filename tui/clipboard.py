"""Copies over ssh and tmux: OSC 52, wrapped for tmux; or a file.

The rules:

1. What is copied is what is seen: clean text, so that pasting it into a shell runs nothing that was recorded.
2. Inside tmux the sequence is wrapped in DCS pass-through, so that the outer terminal gets it.
3. A file is made beside where the command was started, new, and readable by its owner only; no recorded text names it.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from auditlog.safe_text import safe_text

MOST_BYTES = 100_000
"""Terminals refuse longer clipboards, some without a word."""


def osc52(text: str, *, tmux: bool) -> str:
    """Give the sequence that puts clean text on the clipboard."""
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\" if tmux else sequence


def clean(text: str) -> str:
    """Give the text as it may be copied."""
    return safe_text(text, newlines=True)


def inside_tmux() -> bool:
    """Say whether this process runs inside tmux."""
    return bool(os.environ.get("TMUX"))


def write_new(directory: Path, stem: str, suffix: str, text: str) -> Path:
    """Write a text into a new file `stem-N.suffix`.

    Raises:
        OSError: the directory cannot be written.
    """
    for number in range(1, 10_000):
        path = directory / f"{stem}-{number}{suffix}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path
    msg = f"{directory} holds too many files called {stem}-…{suffix}"
    raise OSError(msg)
