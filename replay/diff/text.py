"""Two texts in, the few places in which they differ out.

The rules:

1. Nothing is normalised: the hunks' `before` joined is the one text, their `after` joined the other.
2. Sentences are aligned first; only between equal sentences are words compared.
3. A run of fewer than four equal words or signs between two changes belongs to the change: a reader sees a few
   changed passages, not a hundred changed words. Equal runs at either end of the text stay as they are.
4. A passage of very many words that differ on both sides is one change, and not searched for what is equal in it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from replay.diff.edits import edits
from replay.diff.model import TextDiff, TextHunk

SHORTEST_EQUAL_RUN = 4
"""Words or signs; a shorter equal run between two changes is merged into them."""

# Possessive, and never begun inside a run of stops: a hostile text of nothing but dots takes linear time.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[)\"'”\u2019]*+[^\S\n]++|\n")
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


class _Run(NamedTuple):
    """A run of tokens: equal on both sides, or different."""

    equal: bool
    before: str
    after: str
    words: int
    """Tokens of the run that are not white space, on the longer side."""


def text_diff(before: str, after: str) -> TextDiff:
    """Say where two texts differ.

    Args:
        before: the baseline's text.
        after: the candidate's text.

    Returns:
        The hunks in order, equal and changed ones; none for two empty texts.
    """
    if before == after:
        return TextDiff((TextHunk("equal", before, after),) if before else ())
    runs = _merge_short(_coalesce(_runs(_sentences(before), _sentences(after))))
    return TextDiff(tuple(TextHunk(_op(run), run.before, run.after) for run in runs))


def _sentences(text: str) -> list[str]:
    """Cut a text after each full stop, question or exclamation mark that white space follows, and at line ends."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return [text[start:end] for start, end in itertools.pairwise([0, *ends, len(text)]) if start < end]


def _runs(before: Sequence[str], after: Sequence[str]) -> Iterator[_Run]:
    """Give equal sentences whole and the rest word by word."""
    gone: list[str] = []
    come: list[str] = []
    for code in edits(before, after):
        if code.tag != "equal":
            gone.extend(before[code.src_start : code.src_end])
            come.extend(after[code.dest_start : code.dest_end])
            continue
        yield from _word_runs("".join(gone), "".join(come))
        gone, come = [], []
        kept = "".join(before[code.src_start : code.src_end])
        yield _Run(equal=True, before=kept, after=kept, words=_words(_TOKEN.findall(kept)))
    yield from _word_runs("".join(gone), "".join(come))


def _word_runs(before: str, after: str) -> Iterator[_Run]:
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    for code in edits(old, new):
        gone, come = old[code.src_start : code.src_end], new[code.dest_start : code.dest_end]
        words = max(_words(gone), _words(come))
        yield _Run(equal=code.tag == "equal", before="".join(gone), after="".join(come), words=words)


def _coalesce(runs: Iterator[_Run]) -> list[_Run]:
    """Join neighbours of the same sort."""
    joined: list[_Run] = []
    for run in runs:
        if not run.before and not run.after:
            continue
        if joined and joined[-1].equal == run.equal:
            joined[-1] = _join(joined[-1], run)
        else:
            joined.append(run)
    return joined


def _merge_short(runs: list[_Run]) -> list[_Run]:
    """Take equal runs that are too short to help a reader into the changes around them."""
    merged: list[_Run] = []
    for index, run in enumerate(runs):
        between = 0 < index < len(runs) - 1
        short = run.equal and between and run.words < SHORTEST_EQUAL_RUN
        changed = run._replace(equal=False) if short else run
        if merged and not changed.equal and not merged[-1].equal:
            merged[-1] = _join(merged[-1], changed)
        else:
            merged.append(changed)
    return merged


def _join(one: _Run, other: _Run) -> _Run:
    return _Run(one.equal, one.before + other.before, one.after + other.after, one.words + other.words)


def _words(tokens: Sequence[str]) -> int:
    return sum(1 for token in tokens if not token.isspace())


def _op(run: _Run) -> Literal["equal", "insert", "delete", "replace"]:
    if run.equal:
        return "equal"
    if not run.before:
        return "insert"
    return "replace" if run.after else "delete"
