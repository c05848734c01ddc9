"""Writes blocks as Markdown.

The rules:

1. Recorded text of several lines stands in a fence longer than any in the text, so that nothing in it is read as markup.
2. Recorded text within a line has every character that Markdown or HTML gives a meaning escaped.
3. The words are those of the HTML page, in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from auditlog.incident.blocks import Block, Facts, Heading, Paragraph, Quote, Steps, Table
from auditlog.safe_text import safe_text, wrap

_WIDTH = 110
_SPECIAL = re.compile(r"([\\`*_\[\]#|~@]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)])")
_TONES = {"plain": "", "good": "**Good:** ", "warn": "**Note:** ", "bad": "**Failed:** "}


def page(blocks: Iterable[Block]) -> str:
    """Give a whole page."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_line(text)}"
        case Paragraph(text, tone):
            return _TONES[tone] + _ours(text)
        case Facts(rows):
            return _table(("", ""), rows)
        case Table(head, rows):
            return _table(head, rows)
        case Steps(items):
            return "\n".join(f"{number}. {_ours(item)}" for number, item in enumerate(items, 1))
        case Quote(label, text, when, tone, role):
            head = f"{_TONES[tone]}**{_line(label)}**" + (f" · {_line(when)}" if when else "")
            return f"{head}\n\n{_fenced(text, wrapped=role != 'code')}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(map(_line, head)) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(_line, row)) + " |" for row in rows]
    return "\n".join(lines)


def _fenced(text: str, *, wrapped: bool) -> str:
    clean = safe_text(text, newlines=True).rstrip("\n")
    clean = "\n".join(wrap(clean, _WIDTH)) if wrapped else clean
    longest = max((len(run) for run in re.findall("`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{clean}\n{fence}"


def _line(text: str) -> str:
    return _escaped(text).strip()


def _escaped(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", safe_text(text).replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def _ours(text: str) -> str:
    """Write words of ours, in which `…` is code."""
    pieces = safe_text(text).split("`")
    if len(pieces) % 2 == 0:
        return _line(text)
    return "".join(f"`{piece}`" if at % 2 else _escaped(piece) for at, piece in enumerate(pieces))
