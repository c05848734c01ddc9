"""The one boundary that recorded text passes before a terminal sees it.

The rules:

1. What a terminal would act on, or would not show, becomes visible: `<ESC>`, `<U+009B>`, `<U+202E>`, `<U+200B>`,
   `<U+E0041>`, `<U+D800>`. That is every character that Unicode calls control, format, surrogate, private or
   unassigned, and the printable ones that are blank by design (fillers, variation selectors).
2. No markup is produced and none is read: `[bold]` and `[@click=…]` come out as they went in. Whoever shows the
   result must show it as plain text.
3. A newline is kept where the caller asks for lines, and is `⏎` in one line; a carriage return before it belongs to
   it, and one alone is `<CR>`. A tab is spaces: four among lines, one in a line. Any other space is a space.
4. Emoji look as terminals agree on: the joiner between two pictographs and the presentation selector behind one are
   left out, so a family shows as its members. Everywhere else both are visible.
5. A mark combines with a base in its own line: a line's leading mark gets a dotted circle. Behind one base eight
   marks pass, and `<more marks>` stands for the rest; letters that stack without end are broken up likewise.
6. Widths are terminal cells, never characters. What is clipped ends in `…`.
7. `hidden_in` counts what reorders or hides text: bidi controls, zero-width characters, tags. Whoever shows a record says so.
8. Clean text comes back as it is, after one pass at the speed of C; the result of `safe_text` is clean.

A recorded text that spells `<ESC>` looks the same as one that holds the character: `show --raw` tells them apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_C0 = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI "
    "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
).split()
_MARKS_KEPT = 8
_STACK_KEPT = 4
# More characters than any cell of clean text takes, so that clipping need not read a text of megabytes.
_MOST_PER_CELL = 24

_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_STACKING_JAMO = "\u1161-\u11ff\ud7b0-\ud7fb"
# Latin letters and the punctuation of books: nothing there stacks, hides or joins.
_RARE = re.compile("[^\x00-\u024f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\xad]")
# Printable by Python's account, and yet not clean. `\w` holds no mark in any version of Unicode, so no table is needed.
# Each pattern begins with one set, which the engine skips through at the speed of C.
_ODD_LETTER = re.compile(
    rf"[\u115f\u1160\u3164\uffa0{_STACKING_JAMO}]"
    rf"(?:(?<=[{_BLANK}])|[{_STACKING_JAMO}]{{{_STACK_KEPT - 1}}})"
)
_ODD_MARK = re.compile(
    r"[^\w\s\x00-\x7f](?:"
    rf"(?<=[{_BLANK}])"
    r"|(?<![^\n].)"
    rf"|[^\w\s\x00-\x7f]{{{_MARKS_KEPT}}}"
    rf"|[^\w\s\x00-\x7f]*(?:[^\W\x00-\x7f][^\w\s\x00-\x7f]+){{{_STACK_KEPT}}}"
    r")"
)
_HIDING = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_RUN = re.compile(r"[^\w\x20-\x7e]+|[\u115f\u1160\u3164\uffa0]")
_STACK = re.compile(rf"(?:[^\W\x00-\x7f][^\w\s\x00-\x7f]+){{{_STACK_KEPT + 1},}}")
_JAMO = re.compile(rf"[{_STACKING_JAMO}]{{{_STACK_KEPT},}}")
_BLANK_CHARACTER = re.compile(f"[{_BLANK}]")
_WORDS = re.compile(r"\S+|\s+")


def safe_text(text: str, *, width: int | None = None, newlines: bool = False) -> str:
    r"""Make recorded text safe for a terminal.

    Args:
        text: anything that was recorded.
        width: the most terminal cells that a line may take; None for no limit.
        newlines: keep line breaks; without it the result is one line.

    Returns:
        Text without a character that acts on a terminal or hides; `\n` only where `newlines` is set.
    """
    if width is not None and not newlines and len(text) > (width + 1) * _MOST_PER_CELL:
        # The last character may belong to what is cut off; it stands beyond the width and is never shown.
        text = text[: (width + 1) * _MOST_PER_CELL]
    if not _clean(text, newlines=newlines):
        text = _cleaned(text, newlines=newlines)
    if width is None:
        return text
    if newlines:
        return "\n".join(clip(line, width) for line in text.split("\n"))
    return clip(text, width)


def hidden_in(*values: object) -> dict[str, int]:
    """Count, in recorded values, the characters that reorder what is read or do not show; by their names, such as `U+202E`."""
    found: dict[str, int] = {}
    left = list(values)
    while left:
        match left.pop():
            case str() as text if not text.isascii():
                for match in _HIDING.finditer(text):
                    if not _belongs_to_emoji(text, match.start()):
                        name = f"U+{ord(match[0]):04X}"
                        found[name] = found.get(name, 0) + 1
            case dict() as mapping:
                left += (*mapping.keys(), *mapping.values())
            case list() | tuple() as items:
                left += items
    return dict(sorted(found.items()))


def cell_width(text: str) -> int:
    """Give the terminal cells that a line of clean text takes."""
    if text.isascii() or not (_RARE.search(text) or _CONTROL.search(text)):
        return len(text)
    # Its tables take longer to load than most commands take to answer.
    import wcwidth

    width = wcwidth.wcswidth(text)
    return width if width >= 0 else sum(max(0, wcwidth.wcwidth(character)) for character in text)


def clip(text: str, cells: int) -> str:
    """Cut a line of clean text to at most so many cells; what is cut ends in `…`."""
    if cells <= 0:
        return ""
    if text.isascii():
        return text if len(text) <= cells else text[: cells - 1] + "…"
    head = text[: (cells + 1) * _MOST_PER_CELL]
    if len(head) == len(text) and cell_width(text) <= cells:
        return text
    return _fitting(head, cells - 1) + "…"


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """Cut or fill a line of clean text to exactly so many cells, with the text to the left or right."""
    text = clip(text, cells)
    filling = " " * (cells - cell_width(text))
    return filling + text if right else text + filling


def wrap(text: str, cells: int) -> list[str]:
    r"""Break clean text into lines of at most so many cells, between words where it can.

    Args:
        text: clean text; its `\n` stay line breaks.
        cells: the width, at least 1.

    Returns:
        At least one line; a line's leading spaces are kept.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if cell_width(line) <= cells:
            lines.append(line)
        else:
            lines += _wrapped(line, max(1, cells))
    return lines


def _clean(text: str, *, newlines: bool) -> bool:
    if not (text.replace("\n", " ") if newlines else text).isprintable():
        return False
    if text.isascii() or _RARE.search(text) is None:
        return True
    return _ODD_MARK.search(text) is None and _ODD_LETTER.search(text) is None


def _cleaned(text: str, *, newlines: bool) -> str:
    show = _shower(newlines=newlines)
    if text.isascii():
        return _CONTROLS.sub(show, text)
    return _RUN.sub(show, _JAMO.sub(_break_jamo, _STACK.sub(_break_stack, text)))


def _shower(*, newlines: bool) -> Callable[[re.Match[str]], str]:
    line_break, tab = ("\n", "    ") if newlines else ("⏎", " ")

    def show(match: re.Match[str]) -> str:
        source, end = match.string, match.end()
        shown: list[str] = []
        marks = 0
        for at in range(match.start(), end):
            character = source[at]
            category = unicodedata.category(character)
            if category[0] != "M" or _BLANK_CHARACTER.match(character):
                marks = 0
            if character == "\n":
                shown.append(line_break)
            elif character == "\t":
                shown.append(tab)
            elif character == "\r" and source[at + 1 : at + 2] == "\n":
                continue
            elif category == "Zs":
                shown.append(" ")
            elif _belongs_to_emoji(source, at):
                continue
            elif category[0] == "C" or category in ("Zl", "Zp") or _BLANK_CHARACTER.match(character):
                shown.append(_visible(character))
            elif category[0] == "M":
                marks += 1
                if at == 0 or source[at - 1] == "\n":
                    shown.append("◌")
                if marks <= _MARKS_KEPT:
                    shown.append(character)
                elif marks == _MARKS_KEPT + 1:
                    shown.append("<more marks>")
            else:
                shown.append(character)
        return "".join(shown)

    return show


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return f"<{_C0[code]}>"
    return "<DEL>" if code == 0x7F else f"<U+{code:04X}>"


def _belongs_to_emoji(source: str, at: int) -> bool:
    character = source[at]
    if character in "\ufe0e\ufe0f":
        return at > 0 and (_is_pictograph(source[at - 1]) or source[at - 1] in "0123456789#*")
    if character == "\u200d":
        before = source[at - 2 : at - 1] if source[at - 1 : at] == "\ufe0f" else source[at - 1 : at]
        return _is_pictograph(before) and _is_pictograph(source[at + 1 : at + 2])
    return False


def _is_pictograph(character: str) -> bool:
    # Emoji are symbols; their skin tones are modifier symbols.
    return character > "\x7f" and unicodedata.category(character) in ("So", "Sk", "Sm")


def _break_stack(match: re.Match[str]) -> str:
    """Show every fifth joining mark of a chain that a terminal's width tables take for one character."""
    joined = 0
    shown = []
    for character in match[0]:
        if unicodedata.combining(character) == 9:  # the virama class
            joined += 1
            if joined % (_STACK_KEPT + 1) == 0:
                character = _visible(character)  # noqa: PLW2901 - shown in its place
        shown.append(character)
    return "".join(shown)


def _break_jamo(match: re.Match[str]) -> str:
    run = match[0]
    return run[: _STACK_KEPT - 1] + "".join(_visible(character) for character in run[_STACK_KEPT - 1 :])


def _fitting(text: str, cells: int) -> str:
    """Give the longest beginning of a line that takes at most so many cells."""
    if not _RARE.search(text):
        return text[:cells]
    import wcwidth

    taken, at = 0, 0
    for cluster in wcwidth.iter_graphemes(text):
        taken += cell_width(cluster)
        if taken > cells:
            break
        at += len(cluster)
    return text[:at]


def _wrapped(line: str, cells: int) -> list[str]:
    lines: list[str] = []
    current, taken = "", 0
    for word in _WORDS.findall(line):
        size = cell_width(word)
        if taken + size <= cells:
            current, taken = current + word, taken + size
            continue
        if word.isspace():
            # A break stands for the spaces at it, also for those that would not have fitted.
            if current.strip():
                lines.append(current.rstrip())
                current, taken = "", 0
            else:
                current, taken = current[: cells // 2], min(taken, cells // 2)
            continue
        if current.strip():
            lines.append(current.rstrip())
            current, taken = "", 0
        elif taken + 1 > cells // 2:
            current, taken = "", 0
        while size > cells - taken:
            head = _fitting(word[: cells * _MOST_PER_CELL], cells - taken) or word[:1]
            lines.append(current + head)
            current, taken = "", 0
            word = word[len(head) :]  # noqa: PLW2901 - what is left of it
            size = cell_width(word)
        current, taken = current + word, taken + size
    if current.strip() or not lines:
        lines.append(current.rstrip())
    return lines
