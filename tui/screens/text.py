"""Span and message, whole: as recorded, only made safe to look at."""

from __future__ import annotations

import shlex
from dataclasses import fields, is_dataclass
from typing import Any

from textual.app import ComposeResult

from auditlog.safe_text import safe_text
from auditlog.values import Span
from tui.actions import bindings
from tui.lines import LineView
from tui.render.value import dumped
from tui.rows import LongText
from tui.screens.base import AuditScreen


class TextScreen(AuditScreen):
    """A text of any length."""

    SCREEN = "text"
    BINDINGS = bindings("text")

    def __init__(self, title: str, text: str | Span, twin: str = "", needle: str = "") -> None:
        """Show a text.

        Args:
            title: what it is; may be recorded text.
            text: the text, or a span to show as JSON.
            twin: the command that prints it.
            needle: what to highlight.
        """
        super().__init__()
        self._title_text = safe_text(title, width=60)
        self._text = text
        self._twin = twin
        self.needle = needle

    @classmethod
    def of_span(cls, span: Span) -> TextScreen:
        """Show a span with everything that was recorded of it."""
        conversation = span.conversation_id or span.trace_id
        return cls(f"{span.kind} {span.name}", span, f"auditlog show {shlex.quote(conversation)} --raw")

    def body(self) -> ComposeResult:
        """One list."""
        yield LineView(id="main", empty="Reading…")

    def begin(self) -> None:
        """Clean the text where nobody waits for it."""
        text = self._text
        self.ask("text", lambda _: laid_out(text))

    def got_text(self, rows: LongText) -> None:
        """Show it."""
        view = self.query_one(LineView)
        view.show(rows)
        if self.needle:
            view.search(self.needle)
            view.find(1, here=True)

    def title_facts(self) -> list[tuple[str, str]]:
        """Say what it is."""
        return [(self._title_text, "strong")]

    def clear_more(self) -> bool:
        """Nothing else to end: escape goes back."""
        return False

    def twin(self) -> str:
        """Give the command that prints it."""
        return f"{self._twin or 'auditlog show'}{'' if '--store' in self._twin else self.audit.store_option}"

    def selected_text(self) -> str:
        """Copy all of it."""
        return self._text if isinstance(self._text, str) else as_json(self._text)


def laid_out(text: str | Span) -> LongText:
    """Make the rows of a text or a span; for the reader's thread."""
    return LongText(text if isinstance(text, str) else as_json(text))


def as_json(value: object) -> str:
    """Write a span or a step as JSON: every field that holds something."""
    return dumped(_plain(value), indent=True)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        made = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {name: item for name, item in made.items() if item not in (None, (), [], {}, "")}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
