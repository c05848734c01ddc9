"""What the words of a search say about the words of a text that holds it.

The rules:

1. A word is the longest run of letters and digits, in lower case as the database has it. Content is taken as the JSON text
   that it is stored as.
2. A text that is searched for is found anywhere, also inside of words: of its words, only one with something else on
   both sides has to be a whole word; the first may be the end of a word, the last the beginning, an only one any part.
3. What a filter's `*` parts is searched for part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from auditlog.fold import fold

if TYPE_CHECKING:
    from auditlog.filters.language import Match

FIELD = "words"
SHORTEST = 3
"""Letters of a part of a word that tells texts apart."""


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


def words(term: Match, analyzer: Any) -> list[list[list[Word]]] | None:
    """Say which words a text holds that a term finds.

    Returns:
        For each value of the term, for each way that its text may be written: the words. Any of the ways of any of the values
        has to be there. None where a value says nothing.
    """
    found = []
    for value in term.values:
        written = [[_json(piece) for piece in value.pieces], list(value.pieces)]
        ways = []
        for pieces in written[: 1 if written[0] == written[1] else 2]:
            way = [word for piece in pieces for word in _words(fold(_plain(piece)), analyzer)]
            if not any(len(word.text) >= SHORTEST for word in way):
                return None
            ways.append(way)
        found.append(ways)
    return found


def _words(piece: str, analyzer: Any) -> list[Word]:
    found = analyzer.analyze(piece)
    if not found:
        return []
    # A letter before a piece becomes a part of its first word only where nothing stands between them.
    begins = analyzer.analyze("x" + piece)[0] == "x"
    ends = analyzer.analyze(piece + "x")[-1] == "x"
    last = len(found) - 1
    return [Word(word, begins or at > 0, ends or at < last) for at, word in enumerate(found)]


def query(ways: list[list[list[Word]]], schema: Any) -> Any:
    """Make the query that finds what may hold a term."""
    import tantivy

    def of(word: Word) -> Any:
        if word.begins and word.ends:
            return tantivy.Query.term_query(schema, FIELD, word.text, "basic")
        return tantivy.Query.regex_query(schema, FIELD, word.pattern)

    def of_way(way: list[Word]) -> Any:
        telling = [word for word in way if len(word.text) >= SHORTEST or (word.begins and word.ends)]
        whole = [word for word in telling if word.begins]
        # Words whose beginning is known are found at once; the others by going through every word there is.
        chosen = whole or telling
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, of(word)) for word in chosen])

    every = [of_way(way) for value in ways for way in value]
    every.append(tantivy.Query.term_query(schema, "unread", "1", "basic"))
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, one) for one in every])


def _json(piece: str) -> str:
    return orjson.dumps(_plain(piece))[1:-1].decode()


def _plain(piece: str) -> str:
    return piece.encode("utf-8", "replace").decode()
