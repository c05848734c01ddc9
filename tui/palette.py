"""The palette (ctrl+p): the same actions as the keys, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.actions import Action, of_screen, written

if TYPE_CHECKING:
    from collections.abc import Iterator


class ActionProvider(Provider):
    """Offers the actions of the screen that is seen."""

    def _actions(self) -> Iterator[tuple[Action, str]]:
        from tui.screens.base import AuditScreen

        screen = self.screen
        if isinstance(screen, AuditScreen):
            for action in of_screen(screen.SCREEN):
                key = screen.audit.keymap.get(action.id, action.keys).split(",")[0]
                yield action, f"{action.help} ({written(key)})".replace("[", "\\[")

    def _perform(self, action: Action) -> None:
        from tui.screens.base import AuditScreen

        if isinstance(self.screen, AuditScreen):
            self.screen.perform(action)

    async def discover(self) -> Hits:
        """Give every action."""
        for action, text in self._actions():
            yield DiscoveryHit(action.label, partial(self._perform, action), help=text)

    async def search(self, query: str) -> Hits:
        """Give the actions whose name or sentence fits."""
        matcher = self.matcher(query)
        for action, text in self._actions():
            score = max(matcher.match(action.label), matcher.match(action.help))
            if score > 0:
                yield Hit(score, matcher.highlight(action.label), partial(self._perform, action), help=text)
