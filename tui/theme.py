"""What each role looks like.

The rules:

1. Colours come from the running theme, so that every theme of the palette fits, light ones too.
2. No role is told from another by colour alone where it means a state: its text says it.
3. With NO_COLOR there are no colours: bold, underline, italics and reverse remain.
4. What leaves for the terminal holds no control character, whatever a widget was given.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from rich.color import Color as TerminalColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

from auditlog.safe_text import cell_width, pad, safe_text
from tui.render.line import Line

# Role: variable of the theme for text, variable for the background, attributes.
_ROLES: dict[str, tuple[str | None, str | None, str]] = {
    "muted": ("muted", None, ""),
    "rule": ("muted", None, ""),
    "strong": (None, None, "bold"),
    "heading": ("muted", None, "bold"),
    "accent": ("text-accent", None, "bold"),
    "title": ("text-primary", None, "bold"),
    "key": ("text-accent", None, "bold"),
    "ok": ("text-success", None, ""),
    "warn": ("text-warning", None, ""),
    "error": ("text-error", None, "bold"),
    "user": (None, None, ""),
    "agent": (None, None, ""),
    "user-label": ("text-primary", None, "bold"),
    "agent-label": ("text-success", None, "bold"),
    "call": ("text-secondary", None, "bold"),
    "write": ("text-warning", None, "bold"),
    "document": ("muted", None, ""),
    "bar": ("text-primary", None, ""),
    "add": ("text-success", None, ""),
    "remove": ("text-error", None, ""),
    "add-word": ("text-success", "success-muted", "bold underline"),
    "remove-word": ("text-error", "error-muted", "bold strike"),
    "consequence": ("muted", None, "italic"),
    "match": ("background", "warning", "bold"),
    "match-plain": (None, None, "bold reverse"),
}


class Look:
    """The styles of one theme."""

    def __init__(self, variables: Mapping[str, str], *, no_color: bool = False) -> None:
        """Take the theme's variables (`App.theme_variables`)."""
        self._no_color = no_color
        self._colors = {} if no_color else _colors(variables)
        self.cursor = Style(reverse=True) if no_color else Style(bgcolor=self._colors.get("cursor"))
        """Laid under the line that the cursor is on."""
        self.style = functools.cache(self._style)

    def _style(self, roles: str) -> Style:
        made = Style()
        for role in roles.split():
            made += self._role("match-plain" if role == "match" and self._no_color else role)
        return made

    def _role(self, role: str) -> Style:
        front, back, attributes = _ROLES.get(role, (None, None, ""))
        style = Style.parse(attributes) if attributes else Style()
        return style + Style(
            color=self._colors.get(front) if front else None, bgcolor=self._colors.get(back) if back else None
        )

    def strip(self, made: Line, width: int, base: Style) -> Strip:
        """Paint a line over a base style, in exactly `width` cells."""
        segments = [Segment(piece.text, base + self.style(piece.role)) for piece in made.pieces]
        return Strip(segments).adjust_cell_length(width, base)


def _colors(variables: Mapping[str, str]) -> dict[str, TerminalColor]:
    background = Color.parse(variables["background"])
    foreground = Color.parse(variables["foreground"])
    solid: dict[str, TerminalColor] = {}
    for name in {front for front, _, _ in _ROLES.values()} | {back for _, back, _ in _ROLES.values()}:
        if name and name in variables and not variables[name].startswith("auto"):
            solid[name] = Color.parse(variables[name]).rich_color
    solid["muted"] = background.blend(foreground, 0.6, 1).rich_color
    solid["cursor"] = background.blend(Color.parse(variables["primary"]), 0.35, 1).rich_color
    return solid


class Guard(LineFilter):
    """The last boundary: what is painted holds no character that a terminal would act on."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """Clean each segment that needs it, in as many cells as it had."""
        return [self._clean(segment) for segment in segments]

    @staticmethod
    def _clean(segment: Segment) -> Segment:
        text, style, control = segment
        if control or (text.isascii() and text.isprintable()):
            return segment
        clean = safe_text(text)
        return segment if clean == text else Segment(pad(clean, max(0, cell_width(text))), style)


class Colorless(LineFilter):
    """Takes the colours away, for NO_COLOR."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """Keep the text and what is bold, italic, underlined, struck or reversed."""
        return [Segment(text, style and _without_color(style), control) for text, style, control in segments]


@functools.lru_cache(1024)
def _without_color(style: Style) -> Style:
    return Style(
        bold=style.bold,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=style.reverse,
        meta=style.meta,
    )
