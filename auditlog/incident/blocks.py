"""The blocks that a page is made of; HTML and Markdown are written from the same list.

The rules:

1. A block's words are either ours (`Paragraph`, headings, labels) or recorded (`Quote`, values of `Facts` and cells of
   `Table`); a writer treats all of them as hostile.
2. A block carries no formatting: how it looks is the writer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words of ours."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Recorded words, shown as they are."""

    label: str
    """Who said it, or what it is."""
    text: str
    when: str = ""
    tone: Tone = "plain"
    role: Literal["user", "agent", "step", "code"] = "step"


@dataclass(frozen=True, slots=True)
class Steps:
    """A numbered list of ours."""

    items: tuple[str, ...]


Block = Heading | Paragraph | Facts | Table | Quote | Steps
