"""Options that several commands share, and what they mean.

The rules:

1. `--store` may stand before or behind the command; behind wins.
2. `--where`, `--agent`, `--since` and `--until` narrow together, and say the same in every command.
3. What does not parse is said before a store is opened.
4. Whatever shows what was recorded calls `record_access` first, with what it is about to show; what writers left behind
   is then sealed in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditlog.store import Store

DEFAULT_STORE = "./audit"

Decorated = Callable[..., Any]


def store_option(command: Decorated) -> Decorated:
    """Add `--store` to a command."""
    return click.option(
        "--store",
        metavar="DIR",
        help="The store; $AUDITLOG_STORE or ./audit where it is not given.",
        callback=_store_path,
    )(command)


def _store_path(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    shared = ctx.find_root().obj
    import os

    inherited = shared.get("store") if isinstance(shared, dict) else None
    return value or inherited or os.environ.get("AUDITLOG_STORE") or DEFAULT_STORE


def store_words(path: str) -> str:
    """Give what a command needs to find this store again: nothing, or ` --store PATH`."""
    import os
    import shlex

    default = os.environ.get("AUDITLOG_STORE") or DEFAULT_STORE
    return "" if os.path.realpath(path) == os.path.realpath(default) else f" --store {shlex.quote(path)}"


def open_store(path: str) -> Store:
    """Open the store that a command names.

    Raises:
        StoreError: there is none.
        FormatError: it is of a newer format.
    """
    from auditlog.store import Store

    return Store.open(path)


def say_closed(store: Store) -> None:
    """Say on stderr that sealed content does not show, and which key is missing."""
    from auditlog.cli.output import narrate

    key = store.content_key
    if key is not None and key.secret is None and store.segments():
        narrate(str(key.needed()))


def record_access(
    store: Store,
    action: str,
    *,
    filter: str | None = None,
    ids: Sequence[str] = (),
    rows: int | None = None,
    reason: str | None = None,
    required: bool = False,
) -> None:
    """Write who is about to see what to the store's ledger; say on stderr where that cannot be.

    Args:
        store: the store.
        action: the command, such as `show`.
        filter: by what the rows were chosen.
        ids: the conversations, runs or spans that are shown.
        rows: how many rows are shown.
        reason: why, where one was asked for.
        required: refuse where it cannot be written.

    Raises:
        StoreError: it cannot be written, and the store or the caller requires it.
    """
    from auditlog import background
    from auditlog.cli.output import narrate
    from auditlog.layout import Layout
    from auditlog.store import access

    said = access.record(
        Layout(store.path),
        action,
        filter=filter,
        ids=ids,
        rows=rows,
        reason=reason,
        tool="cli",
        required=required,
    )
    if said is not None:
        narrate(f"note: {said}")
    background.start_for_reader(store.path, wait=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which conversations a command is about."""

    where: str = ""
    """A filter that parses."""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing narrows it."""
        return not (self.where or self.since or self.until)

    @property
    def words(self) -> str | None:
        """The filter and the range of time, as an access record tells them; None where nothing narrows."""
        parts = [self.where] if self.where else []
        parts += [f"since {self.since.isoformat()}"] if self.since else []
        parts += [f"until {self.until.isoformat()}"] if self.until else []
        return " ".join(parts) or None

    def and_subject(self, tokens: Sequence[str]) -> Selection:
        """Narrow to conversations of a customer, by any of the customer's tokens."""
        from auditlog.filters.language import Filter, Match, Pattern, parse

        term = Match("subject", tuple(Pattern((token,)) for token in tokens))
        return Selection(str(Filter((*parse(self.where).terms, term))), self.since, self.until)

    def and_text(self, text: str) -> Selection:
        """Narrow to conversations that hold a text, taken literally."""
        from auditlog.filters.language import Filter, Match, Pattern, parse

        term = Match("text", (Pattern((text,)),))
        return Selection(str(Filter((*parse(self.where).terms, term))), self.since, self.until)


def selection(
    where: str | None, agent: str | None, since: str | None, until: str | None, *, now: datetime | None = None
) -> Selection:
    """Read the options that narrow.

    Raises:
        FilterError: the filter or a point in time does not parse, or the range ends before it begins.
    """
    from auditlog.errors import FilterError
    from auditlog.filters.language import Filter, Match, Pattern, parse
    from auditlog.when import parse_when

    terms = parse(where or "").terms
    if agent is not None:
        terms = (*terms, Match("agent", (Pattern(tuple(agent.split("*"))),)))
    begin = parse_when(since, now=now) if since is not None else None
    end = parse_when(until, now=now, end=True) if until is not None else None
    if begin is not None and end is not None and end <= begin:
        raise FilterError(
            f"--until {until} is not later than --since {since}. Swap them, or widen the range."
        )
    return Selection(str(Filter(terms)), begin, end)


def filter_options(command: Decorated) -> Decorated:
    """Add `--where`, `--since` and `--until` to a command."""
    for option in (
        click.option("--until", metavar="WHEN", help="Up to then: today, 2h, or a date, which it includes."),
        click.option("--since", metavar="WHEN", help="From then on: yesterday, 2h, 3d, or a date."),
        click.option(
            "--where", metavar="FILTER", help="Such as \"status:error tool:issue_refund text:'two words'\"."
        ),
    ):
        command = option(command)
    return command


def selection_options(command: Decorated) -> Decorated:
    """Add `--where`, `--agent`, `--since` and `--until` to a command."""
    agent = click.option(
        "--agent", metavar="NAME", help="Only this agent's; the same as agent:NAME in the filter."
    )
    return filter_options(agent(command))


def subject_option(command: Decorated) -> Decorated:
    """Add `--subject` to a command."""
    return click.option(
        "--subject",
        metavar="VALUE",
        help="Only one customer's, looked up by token: an address, a number; `-` reads it from stdin.",
    )(command)


def tokens_of(store: Store, subject: str) -> list[str]:
    """Give the tokens of a customer in a store; `-` stands for a line of stdin, which no history of a shell keeps.

    Raises:
        NotFoundError: nothing was redacted in this store, so it holds no tokens.
        FilterError: the value is empty.
    """
    import sys

    from auditlog.errors import NotFoundError
    from auditlog.redaction.subject import subject_tokens

    value = sys.stdin.readline() if subject == "-" else subject
    found = subject_tokens(store.layout, value)
    if not found:
        raise NotFoundError(
            f"The store {store.path} holds no tokens: nothing was redacted in it. "
            "Look for the value itself with `auditlog find`, or for its user with --where user:NAME."
        )
    return found


def limit_option(help: str, default: int | None = None) -> Callable[[Decorated], Decorated]:
    """Give an option `--limit N`, where 0 means no limit."""
    return click.option(
        "--limit",
        "-n",
        type=click.IntRange(min=0),
        metavar="N",
        default=default,
        help=help,
        show_default=default is not None,
    )
