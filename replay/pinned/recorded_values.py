"""The values that a recorded turn was given, and which of them an asking of the replay gets.

The rules:

1. A value is known by the way to its span (`replay.matching.callers`) and by its counter there. So concurrent branches, whose
   spans begin in any order, do not get each other's; what a served call was given inside is not asked for at all.
2. The way with its arguments comes first, and the way by names alone second, for a candidate that words its calls anew.
3. Who asks more often than was recorded gets a fresh value, and that is counted; so is who asks outside of the case.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auditlog.context import Frame
from auditlog.pinned import ATTRIBUTE, PinnedKind
from auditlog.values import Turn
from replay.matching.callers import Callers

Values = Mapping[str, Sequence[str]]
"""What one span was given, by kind."""

OUTSIDE = "outside"


def values_of(turn: Turn) -> list[list[Any]]:
    """Give what a recorded turn's spans were given, as JSON: the way with arguments, the way by names, the values."""
    if not any(ATTRIBUTE in span.attributes for span in turn.spans):
        return []
    callers, found = Callers(), []
    for span in sorted(turn.spans, key=lambda span: span.start_ns):
        callers.begin(span.span_id, span.parent_span_id, span.kind, span.name, span.input)
        given = span.attributes.get(ATTRIBUTE)
        if isinstance(given, Mapping):
            way = callers.at(span.span_id)
            found.append([way.exact, way.named, given])
    return found


class RecordedValues:
    """Serves one case's recorded values; safe to ask from any thread."""

    def __init__(self, recorded: Sequence[Sequence[Any]]) -> None:
        """Take what `values_of` gave."""
        self._exact: dict[str, Values] = {}
        self._named: dict[str, Values] = {}
        for exact, named, values in recorded:
            self._exact.setdefault(exact, values)
            self._named.setdefault(named, values)
        self.callers = Callers()
        """Knows the way to each call of the case."""
        self._lock = threading.Lock()
        self.fresh: Counter[str] = Counter()
        """Askings that the recording had nothing for, by kind; `outside` for those that stand in no call of the case."""

    def give(self, frame: Frame | None, kind: PinnedKind, count: int) -> str | None:
        """Give the value for an asking; None where there is none, which is counted."""
        found = None if frame is None else self._recorded(frame, kind, count)
        if found is None:
            with self._lock:
                self.fresh[OUTSIDE if frame is None else kind] += 1
        return found

    def _recorded(self, frame: Frame, kind: PinnedKind, count: int) -> str | None:
        way = self.callers.at(frame.span_id)
        values = self._exact.get(way.exact, self._named.get(way.named, {})).get(kind, ())
        return str(values[count]) if count < len(values) else None
