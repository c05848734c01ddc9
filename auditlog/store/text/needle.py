"""What the words of a search say about the words of a text that holds it.

The rules:

1. A word is the longest run of letters and digits, in lower case as the database has it. Content is taken as the JSON text
   that it is stored as.
2. A text that is searched for is found anywhere, also inside of words: of its words, only one with something else on
   both sides has to be a whole word; the first may be the end of a word, the last the beginning, an only one any part.
3. What a filter's `*` parts is searched for part by part. The words of a part stand in a row in the text, except over a
   quotation mark: between two of those, a text of the index is what stands there in the content, whatever it is.
4. Of the queries that all find it, the cheapest is asked first: whole words are looked up, those whose beginning is known are
   found beside each other, and for the others every word there is has to be gone through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from auditlog.fold import fold

if TYPE_CHECKING:
    from auditlog.filters.language import Match

FIELD = "words"
SHORTEST = 3
"""Letters of a part of a word that tells texts apart."""
_LEVELS = 4
"""Whole words, then beginnings of words, then parts of words, then beginnings of a letter or two."""


class Word(NamedTuple):
    """A word, or a part of one."""

    text: str
    begins: bool
    """Whether a word begins with it."""
    ends: bool
    """Whether a word ends with it."""

    @property
    def pattern(self) -> str:
        """A regular expression of the words that it may be; a word has no sign that means something there."""
        return f"{'' if self.begins else '.*'}{self.text}{'' if self.ends else '.*'}"


def analyzer() -> Any:
    """Give what cuts a text into words."""
    import tantivy

    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).build()


Run = list[Word]
"""Words that stand in a row."""
Way = list[Run]
"""What is all there."""


def words(term: Match, analyzer: Any) -> list[list[Way]] | None:
    """Say which words a text holds that a term finds.

    Returns:
        For each value of the term, the ways in which its text may be written. Any of the ways of any of the values has to be
        there. None where a value says nothing.
    """
    found = []
    for value in term.values:
        written = [[_json(piece) for piece in value.pieces], list(value.pieces)]
        ways = []
        for pieces in written[: 1 if written[0] == written[1] else 2]:
            way = [run for piece in pieces for run in _runs(fold(_plain(piece)), analyzer)]
            if not any(len(word.text) >= SHORTEST for run in way for word in run):
                return None
            ways.append(way)
        found.append(ways)
    return found


def _runs(piece: str, analyzer: Any) -> Iterator[Run]:
    parts = piece.split('"')
    last = len(parts) - 1
    for at, part in enumerate(parts):
        run = _words('"' * (at > 0) + part + '"' * (at < last), analyzer)
        if run:
            yield run


def _words(part: str, analyzer: Any) -> Run:
    found = analyzer.analyze(part)
    if not found:
        return []
    # A letter before a part becomes a part of its first word only where nothing stands between them.
    begins = analyzer.analyze("x" + part)[0] == "x"
    ends = analyzer.analyze(part + "x")[-1] == "x"
    last = len(found) - 1
    return [Word(word, begins or at > 0, ends or at < last) for at, word in enumerate(found)]


def queries(ways: list[list[Way]], schema: Any, pattern: Callable[[Word], str]) -> Iterator[Any]:
    """Make queries that each find all that may hold a term, and less than the one before at a higher price.

    Args:
        ways: the words.
        schema: of the index.
        pattern: gives a regular expression of the words of the index that a word may be.
    """
    import tantivy

    def of(run: Run) -> Any:
        if len(run) == 1:
            word = run[0]
            if word.begins and word.ends:
                return tantivy.Query.term_query(schema, FIELD, word.text, "basic")
            return tantivy.Query.regex_query(schema, FIELD, pattern(word))
        if all(word.begins and word.ends for word in run):
            return tantivy.Query.phrase_query(schema, FIELD, [word.text for word in run])
        # The prefix phrase of the library looks at the first fifty words that begin so, and no further.
        return tantivy.Query.regex_phrase_query(schema, FIELD, [pattern(word) for word in run])

    asked = None
    for level in range(_LEVELS):
        every = [[_known(run, level) for run in way] for value in ways for way in value]
        if every != asked and all(any(way) for way in every):
            asked = every
            each = [
                tantivy.Query.boolean_query([(tantivy.Occur.Must, of(run)) for run in way if run])
                for way in every
            ]
            each.append(tantivy.Query.term_query(schema, "unread", "1", "basic"))
            yield tantivy.Query.boolean_query([(tantivy.Occur.Should, one) for one in each])


def _known(run: Run, level: int) -> Run:
    """Leave out the words at the ends of a run that a level does not ask for."""

    def is_asked(word: Word) -> bool:
        if word.begins and word.ends:
            return True
        if len(word.text) < SHORTEST:
            return word.begins and level == _LEVELS - 1
        return level >= (1 if word.begins else 2)

    known = [word for word in run if is_asked(word)]
    # By itself, a beginning of a letter or two is that of too many words.
    return known if len(known) > 1 or any(map(_telling, known)) else []


def _telling(word: Word) -> bool:
    """Say whether a word can be looked for by itself."""
    return len(word.text) >= SHORTEST or (word.begins and word.ends)


def _json(piece: str) -> str:
    return orjson.dumps(_plain(piece))[1:-1].decode()


def _plain(piece: str) -> str:
    return piece.encode("utf-8", "replace").decode()
