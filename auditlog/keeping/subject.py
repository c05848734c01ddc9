"""Finds what a store holds of one customer.

The rules:

1. A conversation is the subject's when one of its spans names the subject as its user, by the value or by a token of it, or
   when its id was given. It is the subject's whole.
2. Any other row that mentions the value or a token in its content is a mention: that row's content goes, the rest of the
   conversation stays. A value shorter than five characters is looked for as a user only: it would be found in everything.
3. A mention is the whole word, not a piece of a longer one, in any case of letters, also where JSON escaped it.
4. What was derived goes too: the replays of those conversations' traces, and the replays of those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from auditlog.keeping.rewrite import is_erased
from auditlog.record import PARTS

if TYPE_CHECKING:
    from auditlog.store.store import Store

SHORTEST_MENTION = 5

_BEFORE = r"(?:^|[^0-9A-Za-z_.@+\-]|\\[nrtbf]|\\u[0-9a-fA-F]{4})"
_BEHIND = r"(?:$|[^0-9A-Za-z_@+.\-]|[.\-](?:$|[^0-9A-Za-z]))"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose data is meant."""

    value: str | None = None
    """In plain; it is compared and never written."""
    tokens: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    """Ids that were given."""

    @property
    def names(self) -> tuple[str, ...]:
        """The value and the tokens."""
        return (*((self.value,) if self.value else ()), *self.tokens)

    @property
    def pattern(self) -> str | None:
        """What mentions match, as RE2 reads it; None where nothing is looked for in content."""
        words = [name for name in self.names if len(name) >= SHORTEST_MENTION]
        spelled = dict.fromkeys(form for word in words for form in (word, json.dumps(word)[1:-1]))
        found = [_BEFORE + "(?:" + "|".join(map(re.escape, spelled)) + ")" + _BEHIND] if spelled else []
        # A token is delimited by itself.
        found += [re.escape(token) for token in self.tokens]
        return "|".join(found) or None


@dataclass(slots=True)
class Found:
    """What a store holds of a subject."""

    conversations: set[str] = field(default_factory=set)
    """Those that are the subject's."""
    replays: set[str] = field(default_factory=set)
    """Conversations of replays that were derived from those."""
    mentions: int = 0
    """Rows of other conversations."""
    mentioning: set[str] = field(default_factory=set)
    """The other conversations."""

    @property
    def whole(self) -> set[str]:
        """The conversations that go whole."""
        return self.conversations | self.replays


def conversations_of_users(store: Store, subject: Subject) -> set[str]:
    """Give the conversations in which the subject is the user, and those that were named."""
    found = set(subject.conversations)
    if subject.names:
        rows = store.query(
            "SELECT DISTINCT conversation_id AS id FROM all_spans WHERE user_id IN (SELECT unnest(?))",
            [list(subject.names)],
        )
        found |= set(rows.column("id").to_pylist())
    return found


def derived_from(store: Store, conversations: Iterable[str]) -> set[str]:
    """Give the conversations of replays of these conversations, and of replays of those."""
    known, fresh, derived = set(conversations), set(conversations), set()
    while fresh:
        rows = store.query(
            "SELECT DISTINCT r.conversation_id AS id FROM all_spans r JOIN ("
            "SELECT DISTINCT trace_id FROM all_spans WHERE conversation_id IN (SELECT unnest(?))) s "
            "ON r.replay_source_trace_id = s.trace_id",
            [sorted(fresh)],
        )
        fresh = set(rows.column("id").to_pylist()) - known
        known |= fresh
        derived |= fresh
    return derived


def mentions(columns: pa.Table, subject: Subject) -> pa.Array:
    """Say of each row of a table with PARTS whether its content mentions the subject."""
    pattern = subject.pattern
    found: list[bool] = [False] * columns.num_rows
    if pattern is None:
        return pa.array(found, pa.bool_())
    for name in PARTS:
        column = columns.column(name)
        if column.null_count == len(column):
            continue
        hits = pc.call_function(
            "match_substring_regex", [column], pc.MatchSubstringOptions(pattern, ignore_case=True)
        )
        found = [a or bool(b) for a, b in zip(found, hits.to_pylist(), strict=True)]
    return pa.array(found, pa.bool_())


def doomed(columns: pa.Table, subject: Subject, whole: Sequence[str] | set[str]) -> pa.Array:
    """Say of each row of a table whether its content goes."""
    ids = columns.column("conversation_id").to_pylist()
    gone = is_erased(columns).to_pylist()
    said = mentions(columns, subject).to_pylist()
    return pa.array(
        [not g and (name in whole or hit) for name, g, hit in zip(ids, gone, said, strict=True)], pa.bool_()
    )
