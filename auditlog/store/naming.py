"""Finds the one conversation that somebody means who does not write its whole id.

The rules:

1. A beginning is enough where no other id has it; several are named, and more of it is asked for.
2. The id of a span, a turn or a trace, or eight digits of it, names the conversation that it is in.
3. What was pruned says so; a miss names the nearest id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlog.errors import NotFoundError

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.store.lists import Lists
    from auditlog.store.reader import Reader

_ID = re.compile(r"[0-9a-f]{8,32}")
"""What may be the id of a span or a trace, or enough of its beginning."""
_MOST_NAMED = 5
_MOST_COMPARED = 100_000


def whole_id(beginning: str, layout: Layout, lists: Lists, reader: Reader) -> str:
    """Give the id of the conversation that is meant.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    from auditlog.ledger.pruned import pruned

    gone = pruned(layout, beginning)
    if gone is not None:
        raise NotFoundError(gone.sentence(beginning))
    matches = lists.starting_with(beginning, _MOST_NAMED + 1) if beginning else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        more = ", …" if len(matches) > _MOST_NAMED else ""
        named = ", ".join(repr(name) for name in matches[:_MOST_NAMED])
        msg = f"{beginning!r} is the beginning of several conversation ids: {named}{more}. Write more of it."
        raise NotFoundError(msg)
    if (of_span := _holding(beginning, reader)) is not None:
        return of_span
    raise NotFoundError(_missing(beginning, lists.names_around(beginning, _MOST_COMPARED)))


def _holding(beginning: str, reader: Reader) -> str | None:
    """Give the conversation of the span, turn or trace whose id begins so; None where there is none, or several."""
    if not _ID.fullmatch(beginning):
        return None
    found = reader.table(
        "SELECT DISTINCT conversation_id AS id FROM all_spans WHERE starts_with(span_id, $1) OR starts_with(trace_id, $1) "
        "OR starts_with(turn_id, $1) LIMIT 2",
        [beginning],
    )
    return found.column("id")[0].as_py() if found.num_rows == 1 else None


def _missing(wanted: str, ids: Sequence[str]) -> str:
    """Say what is missing, and name the nearest of sorted ids: of those that are equally near, the first."""
    from rapidfuzz import process

    if not ids:
        return f"There is no conversation {wanted!r}: the store is empty. Record or import some first."
    near = process.extractOne(wanted, ids, score_cutoff=60)
    hint = f" The nearest is {near[0]!r}." if near else ""
    return f"There is no conversation {wanted!r}.{hint} `auditlog ls` lists what there is."
