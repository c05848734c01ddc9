"""Two lists of steps in, each step with its counterpart out.

The rules:

1. Needleman-Wunsch over steps: the same call scores 1, the same tool with other arguments 0.5 + 0.5 x the
   similarity of the arguments (answers: of their texts), anything else -1, and a step without counterpart -0.4.
2. Every step of either side stands in exactly one pair. Where a step stands in another's place, the candidate's
   comes first.
3. A call that is gone in one place and new in another, with the same arguments, is one reordered pair. It stands
   where the two sides first disagree about it. So are calls of one tool that merely changed places with each
   other. Answers do not move.
4. Equal beginnings and ends are paired without search: with these scores no better alignment exists.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz

from auditlog.values import Json
from replay.diff.edits import common, edits
from replay.diff.json_diff import leaves, same_scalar
from replay.diff.model import Step
from replay.diff.steps import Key, key_of

SAME = 1.0
SAME_TOOL = 0.5
DIFFERENT = -1.0
GAP = -0.4

LARGEST_TABLE = 100_000
"""Cells; beyond it only equal calls and the last answers are paired, in time that grows with the number of steps that differ."""

_LONGEST_COMPARED = 10_000
"""Characters of a text by which its likeness to another is judged."""


class Pair(NamedTuple):
    """Indexes of two steps that stand for each other; None on the side that has no counterpart."""

    before: int | None
    after: int | None
    reordered: bool = False


class _Keys(NamedTuple):
    """The keys of both sides' steps."""

    before: list[Key]
    after: list[Key]


def align(before: Sequence[Step], after: Sequence[Step]) -> tuple[Pair, ...]:
    """Pair the steps of two behaviours.

    Args:
        before: the baseline's steps.
        after: the candidate's steps.

    Returns:
        The pairs in order; each index of both sides occurs once.
    """
    keys = _Keys([key_of(step) for step in before], [key_of(step) for step in after])
    head = common(keys.before, keys.after)
    tail = common(keys.before[head:][::-1], keys.after[head:][::-1])
    # Of several best alignments the same one is taken in either direction.
    if keys.before > keys.after:
        turned = _search(after, before, _Keys(keys.after, keys.before), head, tail)
        middle = [Pair(pair.after, pair.before) for pair in turned]
    else:
        middle = _search(before, after, keys, head, tail)
    pairs = [
        *(Pair(i, i) for i in range(head)),
        *_new_before_gone(middle),
        *(Pair(len(before) - i, len(after) - i) for i in range(tail, 0, -1)),
    ]
    return tuple(_with_swapped(_with_reordered(pairs, keys), keys))


def similarity(before: Json, after: Json) -> float:
    """Give the mean likeness, 0 to 1, of two arguments' leaves; a leaf of one side only counts 0."""
    old, new = leaves(before), leaves(after)
    paths = old.keys() | new.keys()
    shared = old.keys() & new.keys()
    return sum(_likeness(old[path], new[path]) for path in shared) / len(paths) if paths else 1.0


def _likeness(before: Json, after: Json) -> float:
    if isinstance(before, str) and isinstance(after, str):
        return fuzz.ratio(before[:_LONGEST_COMPARED], after[:_LONGEST_COMPARED]) / 100
    return float(same_scalar(before, after))


def _search(
    before: Sequence[Step],
    after: Sequence[Step],
    keys: _Keys,
    head: int,
    tail: int,
) -> list[Pair]:
    rows, columns = range(head, len(before) - tail), range(head, len(after) - tail)
    if len(rows) * len(columns) > LARGEST_TABLE:
        return _equal_calls_only(keys, head, tail)
    scores = _pair_scores(before, after, keys, rows, columns)
    best = [list(itertools.accumulate(itertools.repeat(GAP, len(columns)), initial=0.0))]
    for row_scores in scores:
        above = best[-1]
        line = [above[0] + GAP]
        for column, score in enumerate(row_scores, start=1):
            line.append(max(above[column - 1] + score, above[column] + GAP, line[column - 1] + GAP))
        best.append(line)
    return _walk_back(best, scores, head)


def _pair_scores(
    before: Sequence[Step],
    after: Sequence[Step],
    keys: _Keys,
    rows: range,
    columns: range,
) -> list[list[float]]:
    known: dict[tuple[Key, Key], float] = {}

    def score(row: int, column: int) -> float:
        one, other = keys.before[row], keys.after[column]
        if one[:2] != other[:2]:
            return DIFFERENT
        if one == other:
            return SAME
        if (one, other) not in known:
            old, new = before[row], after[column]
            texts = one[0] == "answer"
            alike = _likeness(old.text, new.text) if texts else similarity(old.arguments, new.arguments)
            known[one, other] = SAME_TOOL + (SAME - SAME_TOOL) * alike
        return known[one, other]

    return [[score(row, column) for column in columns] for row in rows]


def _walk_back(best: list[list[float]], scores: list[list[float]], head: int) -> list[Pair]:
    """Follow the best path from the end to the beginning."""
    row, column = len(best) - 1, len(best[0]) - 1
    pairs: list[Pair] = []
    while row or column:
        here = best[row][column]
        if row and column and here == best[row - 1][column - 1] + scores[row - 1][column - 1]:
            row, column = row - 1, column - 1
            pairs.append(Pair(head + row, head + column))
        elif not column or (row and here == best[row - 1][column] + GAP):
            row -= 1
            pairs.append(Pair(head + row, None))
        else:
            column -= 1
            pairs.append(Pair(None, head + column))
    return pairs[::-1]


def _new_before_gone(pairs: list[Pair]) -> list[Pair]:
    """Within a run of steps without counterpart, put the candidate's first."""
    ordered: list[Pair] = []
    gone: list[Pair] = []
    for pair in pairs:
        if pair.after is None:
            gone.append(pair)
            continue
        if pair.before is not None:
            ordered.extend(gone)
            gone = []
        ordered.append(pair)
    return ordered + gone


def _equal_calls_only(keys: _Keys, head: int, tail: int) -> list[Pair]:
    old, new = keys.before[head : len(keys.before) - tail], keys.after[head : len(keys.after) - tail]
    if old and new and old[-1].kind == new[-1].kind == "answer":
        # The last answers stand for each other whatever they say.
        old[-1] = new[-1]
    pairs: list[Pair] = []
    for code in edits(old, new):
        sources, targets = range(code.src_start, code.src_end), range(code.dest_start, code.dest_end)
        if code.tag == "equal":
            pairs.extend(Pair(head + i, head + j) for i, j in zip(sources, targets, strict=True))
        else:
            pairs.extend(Pair(head + i, None) for i in sources)
            pairs.extend(Pair(None, head + j) for j in targets)
    return pairs


def _with_reordered(pairs: list[Pair], keys: _Keys) -> list[Pair]:
    """Join a gone and a new step that are the same call to one pair, at the earlier of the two places."""
    new_places: defaultdict[Key, deque[int]] = defaultdict(deque)
    for place, pair in enumerate(pairs):
        if pair.before is None and pair.after is not None:
            new_places[keys.after[pair.after]].append(place)
    result: list[Pair | None] = list(pairs)
    for place, pair in enumerate(pairs):
        if pair.before is None or pair.after is not None or keys.before[pair.before].kind == "answer":
            continue
        if waiting := new_places.get(keys.before[pair.before]):
            other = waiting.popleft()
            result[min(place, other)] = Pair(pair.before, pairs[other].after, reordered=True)
            result[max(place, other)] = None
    return [pair for pair in result if pair is not None]


def _with_swapped(pairs: list[Pair], keys: _Keys) -> list[Pair]:
    """Turn pairs that differ, but hold the very same calls on both sides in another order, into reordered pairs."""
    open_pairs = {
        place: (keys.before[pair.before], keys.after[pair.after])
        for place, pair in enumerate(pairs)
        if pair.before is not None
        and pair.after is not None
        and keys.before[pair.before] != keys.after[pair.after]
        and keys.before[pair.before].kind != "answer"
    }
    # Leave out what the other side does not hold, until both sides hold the same.
    while open_pairs:
        old = Counter(one for one, _ in open_pairs.values())
        new = Counter(other for _, other in open_pairs.values())
        lone = next((p for p, (a, b) in open_pairs.items() if old[a] > new[a] or new[b] > old[b]), None)
        if lone is None:
            break
        del open_pairs[lone]
    places: defaultdict[Key, deque[int]] = defaultdict(deque)
    for place, (_, other) in open_pairs.items():
        places[other].append(place)
    result = list(pairs)
    for place, (one, _) in open_pairs.items():
        result[place] = Pair(pairs[place].before, pairs[places[one].popleft()].after, reordered=True)
    return result
