"""A small BM25 index over the help articles.

The rules:

1. Words are folded to lower case without accents, stripped of common endings, and stop words are left out.
2. A word in the title counts three times.
3. Equal scores are ordered by article id, so that the same question always finds the same articles.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache

from .articles import Article, load_articles

_K1 = 1.4
_B = 0.6
_TITLE_WEIGHT = 3
_WORD = re.compile(r"[a-z0-9]+")
_STOP_WORDS = """
a about again already also am an and any are as at be because been but by can could did do does fine for from
get go good got had has have he hello hey hi how i if in into is it its just know like me my need no not of ok
okay on one or other our out please really she should so some still tell thank thanks that the their them then
there they this to up us want was we were what when where which who why will with work works would you your
"""
_STOP = frozenset(_STOP_WORDS.split())
_ENDINGS = ("ies", "ing", "ed", "es", "s", "e", "y")
_SAME = {
    "cost": "cost",
    "fee": "cost",
    "pric": "price",
    "mail": "email",
    "shipp": "deliver",
    "ship": "deliver",
}


def words(text: str) -> list[str]:
    """Give the words of a text as the index knows them (rule 1)."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    folded = folded.replace("e-mail", "email")
    return [_stem(word) for word in _WORD.findall(folded) if word not in _STOP]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return _SAME.get(word, word)


class Index:
    """BM25 over a fixed set of articles."""

    def __init__(self, articles: tuple[Article, ...]) -> None:
        self.articles = articles
        self._counts = [Counter(words(a.title) * _TITLE_WEIGHT + words(a.content)) for a in articles]
        self._lengths = [counts.total() for counts in self._counts]
        self._mean = sum(self._lengths) / max(1, len(articles))
        holding = Counter(word for counts in self._counts for word in counts)
        total = len(articles)
        self._weight = {w: math.log(1 + (total - n + 0.5) / (n + 0.5)) for w, n in holding.items()}

    def search(self, query: str, limit: int) -> list[tuple[Article, float]]:
        """Give the best articles and their scores, best first; articles without a common word are left out."""
        asked = sorted(set(words(query)))
        scored = [(article, round(self._score(i, asked), 4)) for i, article in enumerate(self.articles)]
        found = [(article, score) for article, score in scored if score > 0]
        return sorted(found, key=lambda pair: (-pair[1], pair[0].id))[:limit]

    def _score(self, index: int, asked: list[str]) -> float:
        counts, length = self._counts[index], self._lengths[index]
        damping = _K1 * (1 - _B + _B * length / self._mean)
        return sum(
            self._weight[word] * counts[word] * (_K1 + 1) / (counts[word] + damping)
            for word in asked
            if word in counts
        )


@cache
def shop_index() -> Index:
    """Give the index over the shop's help articles."""
    return Index(load_articles())
