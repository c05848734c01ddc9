"""Putting a recorded turn into the regression set from a screen: a key, a reason, and what is expected by itself.

The rules:

1. What the recorded turn lets expect is what the case expects; more is said with the command that the answer names.
2. A reason is asked for, and may be left out. That somebody added the case is written to the ledger first.
3. Escape adds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlog.safe_text import safe_text
from auditlog.wording import many
from tui.reading import Seen, record
from tui.screens.base import AuditScreen

if TYPE_CHECKING:
    from auditlog.store import Store
    from auditlog.values import Turn
    from replay.regress.keeping import Promoted

PURPOSE = "promote"


class PromotingScreen(AuditScreen):
    """A screen that shows recorded turns."""

    @property
    def recorded_turn(self) -> Turn | None:
        """The recorded turn that the screen is on; None where there is none."""
        return None

    def action_promote(self) -> None:
        """Ask why the turn belongs into the regression set."""
        turn = self.recorded_turn
        if turn is None or turn.agent.replay is not None:
            self.say("There is no recorded turn here that could be a regression case.")
            return
        self.ask_for(
            PURPOSE, "", f"why is turn {turn.index + 1} worth keeping? enter adds it, escape does not"
        )

    def prompted(self, purpose: str, value: str) -> None:
        """Add the turn, for the reason that was typed."""
        if purpose != PURPOSE:
            return
        self.close_prompt()
        turn = self.recorded_turn
        if turn is not None:
            self.ask("promoted", lambda store: _added(store, turn, value.strip()))

    def got_promoted(self, promoted: Promoted) -> None:
        """Say what is expected from now on."""
        case = promoted.case
        done = "Added" if promoted.event == "add" else "It is there:"
        said = f"{done} regression case {case.case_id}, {many(case.expected.count, 'expectation')}"
        held = f". It is not held against pruning: {promoted.held}" if promoted.held else ""
        self.audit.inform(safe_text(f"{said}; auditlog regress show {case.case_id}{held}"))


def _added(store: Store, turn: Turn, reason: str) -> Any:
    from replay.regress.keeping import add

    record(store, Seen("regress add", ids=(turn.agent.conversation_id or "",), rows=1))
    return add(store, turn, reason=reason)
