"""What only a whole arm shows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from replay.scorers.builtin.handoffs import hand_offs
from replay.scorers.model import Score, Subject, set_scorer


@set_scorer(version="1", level="secondary")
def distinct_answers(subjects: Iterable[Subject]) -> Score:
    """The share of an arm's answers that are not the commonest one: an agent that says one thing to all comes to 0."""
    counts: Counter[bytes] = Counter()
    first: dict[bytes, str] = {}
    for subject in subjects:
        if text := subject.run.answer_text.strip():
            digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
            counts[digest] += 1
            first.setdefault(digest, subject.run.turn_id)
    total = counts.total()
    if total < 2:
        return Score(None, "too few answers")
    commonest, times = counts.most_common(1)[0]
    said = f"{len(counts):,} different answers of {total:,}; the commonest {times:,} times"
    return Score(1 - (times - 1) / (total - 1), "", (first[commonest],), said)


@set_scorer(version="1", level="secondary")
def escalation_rate(subjects: Iterable[Subject], *, least: float = 0.0, most: float = 1.0) -> Score:
    """An arm's rate of hand-offs stays within bounds."""
    total, handed, cited = 0, 0, ""
    for subject in subjects:
        total += 1
        found = hand_offs(subject.run)
        handed += bool(found)
        cited = cited or (found[0] if found else "")
    if not total:
        return Score(None, "no executions")
    rate = handed / total
    is_within = least <= rate <= most
    evidence = (cited,) if cited else ()
    said = f"{handed:,} of {total:,} were handed over ({rate:.1%})"
    return Score(1.0 if is_within else 0.0, "within" if is_within else "out of bounds", evidence, said)
