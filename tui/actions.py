"""The registry of actions: a key, a named action, an entry of the palette and a verb of the command line are one thing.

The rules:

1. Every key that does something stands here, with the screens that it works on.
2. An action's id is its name for remapping and for `:`; its method is `action_<name>` on the screen or list.
3. On one screen no key means two things, before and after remapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.binding import Binding, BindingType

from auditlog.errors import ConfigurationError
from auditlog.wording import nearest_hint

LISTING = "list"
"""The name under which every list's own keys are registered."""
EVERYWHERE = ("conversations", "conversation", "text", "runs", "diff-list", "diff")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a user can do."""

    id: str
    """`<screen or group>.<name>`."""
    keys: str
    """Textual's names, parted by commas; the first is the one that is shown."""
    label: str
    """What the key bar says."""
    help: str
    """One sentence."""
    screens: tuple[str, ...]
    shown: bool = True
    """Whether the key bar has it."""
    cli: str | None = None
    """The command that does the same."""

    @property
    def method(self) -> str:
        """The name behind `action_`."""
        return self.id.rsplit(".", 1)[1].replace("-", "_")


ACTIONS: tuple[Action, ...] = (
    Action("list.down", "j,down", "down", "Go to the next item.", (LISTING,), shown=False),
    Action("list.up", "k,up", "up", "Go to the item before.", (LISTING,), shown=False),
    Action("list.page-down", "pagedown,ctrl+f", "page", "Go on by a window.", (LISTING,), shown=False),
    Action("list.page-up", "pageup,ctrl+b", "page up", "Go back by a window.", (LISTING,), shown=False),
    Action("list.half-down", "ctrl+d", "half", "Go on by half a window.", (LISTING,), shown=False),
    Action("list.half-up", "ctrl+u", "half up", "Go back by half a window.", (LISTING,), shown=False),
    Action("list.first", "g,home", "first", "Go to the first item.", (LISTING,), shown=False),
    Action("list.last", "G,end", "last", "Go to the last item.", (LISTING,), shown=False),
    Action("list.open", "enter", "open", "Open what the cursor is on.", (LISTING,)),
    Action("conversations.mark", "space", "mark", "Mark the conversation, for d and R.", ("conversations",)),
    Action("conversations.diff", "d", "diff", "Compare the two marked conversations.", ("conversations",)),
    Action(
        "conversations.runs",
        "r",
        "runs",
        "List the replay runs.",
        ("conversations",),
        cli="auditlog replay ls",
    ),
    Action(
        "conversations.replay",
        "R",
        "replay",
        "Show the command that replays the marked conversations.",
        ("conversations", "conversation"),
        shown=False,
        cli="auditlog replay run",
    ),
    Action(
        "conversations.filter",
        "f",
        "filter",
        "Show only conversations that a filter matches.",
        ("conversations",),
    ),
    Action(
        "conversations.refresh",
        "ctrl+r",
        "refresh",
        "Read what was recorded since.",
        ("conversations", "runs"),
        shown=False,
    ),
    Action("conversation.waterfall", "w", "waterfall", "Show when the turn's calls ran.", ("conversation",)),
    Action(
        "conversation.prove",
        "v",
        "prove",
        "Prove the conversation's calls against the signed ledger.",
        ("conversation",),
        shown=False,
        cli="auditlog prove",
    ),
    Action(
        "conversation.reveal",
        "U",
        "reveal",
        "Show what redaction took out, for a reason and some minutes; again hides it.",
        ("conversation",),
        shown=False,
        cli="auditlog reveal",
    ),
    Action(
        "conversation.next-turn",
        "right_square_bracket",
        "next turn",
        "Go to the next turn.",
        ("conversation",),
        shown=False,
    ),
    Action(
        "conversation.previous-turn",
        "left_square_bracket",
        "previous turn",
        "Go to the turn before.",
        ("conversation",),
        shown=False,
    ),
    Action(
        "case.promote",
        "plus",
        "promote",
        "Put the recorded turn into the regression set.",
        ("conversation", "diff"),
        shown=False,
        cli="auditlog regress add",
    ),
    Action(
        "diff-list.same", "u", "unchanged", "Show or hide the cases that stayed the same.", ("diff-list",)
    ),
    Action("diff-list.fold", "z,space", "fold", "Fold or unfold the group.", ("diff-list",)),
    Action(
        "diff-list.accept",
        "x",
        "accept",
        "Accept the case's change, for as long as this screen is open.",
        ("diff-list",),
    ),
    Action(
        "diff-list.accept-group",
        "X",
        "accept group",
        "Accept a group of changes, for as long as this screen is open.",
        ("diff-list",),
        shown=False,
    ),
    Action(
        "diff-list.export",
        "e",
        "export",
        "Write the differences into a Markdown file.",
        ("diff-list",),
        cli="auditlog replay diff --format md",
    ),
    Action("diff.pair", "b", "arms", "Compare two others of recorded, baseline and candidate.", ("diff",)),
    Action("diff.fold", "z", "unfold", "Fold or unfold what follows from the first divergence.", ("diff",)),
    Action(
        "diff.next-case",
        "right_square_bracket",
        "next case",
        "Go to the next case of the list.",
        ("diff",),
        shown=False,
    ),
    Action(
        "diff.previous-case",
        "left_square_bracket",
        "previous case",
        "Go to the case before.",
        ("diff",),
        shown=False,
    ),
    Action("diff.divergence", "D", "divergence", "Go to the first divergence.", ("diff",), shown=False),
    Action(
        "everywhere.search",
        "/",
        "search",
        "Find a text and highlight it; the last one is remembered.",
        EVERYWHERE,
    ),
    Action(
        "everywhere.next", "n", "next", "Go to the next place that holds the text.", EVERYWHERE, shown=False
    ),
    Action("everywhere.previous", "N", "previous", "Go to the place before.", EVERYWHERE, shown=False),
    Action(
        "everywhere.side",
        "s",
        "side",
        "Show or hide the pane at the side.",
        ("conversations", "conversation", "diff"),
        shown=False,
    ),
    Action(
        "everywhere.left", "h,left,shift+tab", "left", "Go to the pane on the left.", EVERYWHERE, shown=False
    ),
    Action(
        "everywhere.right", "l,right,tab", "right", "Go to the pane on the right.", EVERYWHERE, shown=False
    ),
    Action("everywhere.copy", "y", "copy", "Copy what the cursor is on (OSC 52).", EVERYWHERE, shown=False),
    Action(
        "everywhere.write",
        "Y",
        "write",
        "Write what the cursor is on into a new file.",
        EVERYWHERE,
        shown=False,
    ),
    Action("everywhere.twin", "c", "cli", "Show the command that prints this view.", EVERYWHERE),
    Action("everywhere.keys", "?", "keys", "Show every key.", EVERYWHERE),
    Action("everywhere.command", ":", "command", "Run an action by its name.", EVERYWHERE, shown=False),
    Action(
        "everywhere.clear",
        "escape",
        "clear",
        "End the search, then the filter, then go back.",
        EVERYWHERE,
        shown=False,
    ),
    Action("everywhere.back", "q", "back", "Go back; on the first screen, quit.", EVERYWHERE),
)


def of_screen(screen: str) -> list[Action]:
    """Give the actions of a screen, its lists' among them."""
    return [action for action in ACTIONS if screen in action.screens or LISTING in action.screens]


def bindings(screen: str) -> list[BindingType]:
    """Give the bindings of a screen, or of `list`.

    They have priority: a key then does what it does before the next key is looked at, so that what is typed fast
    reaches the prompt or the list that the key before has opened.
    """
    return [
        Binding(action.keys, action.method, action.label, id=action.id, show=action.shown, priority=True)
        for action in ACTIONS
        if screen in action.screens
    ]


def find(name: str, screen: str) -> Action:
    """Find a screen's action by its id, the part behind the dot, or its label.

    Raises:
        ConfigurationError: there is none; the message names the nearest.
    """
    known = {
        name: action for action in of_screen(screen) for name in (action.label, action.method, action.id)
    }
    wanted = name.strip().lower()
    if wanted in known:
        return known[wanted]
    hint = nearest_hint(wanted, known) or " ? lists what there is."
    raise ConfigurationError(f"There is no action called {wanted!r} on this screen.{hint}")


def remapped(keymap: Mapping[str, str]) -> dict[str, str]:
    """Check a user's keys: action id to keys, parted by commas.

    Raises:
        ConfigurationError: an id is unknown, or a key would mean two things on one screen.
    """
    known = {action.id: action for action in ACTIONS}
    for name in keymap:
        if name not in known:
            raise ConfigurationError(f"No action has the id {name!r}.{nearest_hint(name, known, 0)}")
    for screen in EVERYWHERE:
        taken: dict[str, str] = {}
        for action in of_screen(screen):
            for key in _keys(keymap.get(action.id, action.keys)):
                if taken.setdefault(key, action.id) != action.id:
                    raise ConfigurationError(
                        f"The key {key!r} would mean both {taken[key]!r} and {action.id!r} on {screen}. "
                        "Give one of them another key."
                    )
    return dict(keymap)


def _keys(text: str) -> Iterable[str]:
    return (key.strip() for key in text.split(",") if key.strip())


KEY_NAMES = {
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "plus": "+",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


def written(key: str) -> str:
    """Write a key as it stands on a keyboard."""
    return KEY_NAMES.get(key, key)
