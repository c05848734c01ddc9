"""The help articles: Markdown files, each a topic, each second-level heading an article.

The rules:

1. A heading reads `## article-id: Title`; the text below it, up to the next heading, is the article.
2. Ids are unique over all files; the source of an article is its file and id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ARTICLES = Path(__file__).with_name("articles")
_HEADING = re.compile(r"^## ([a-z0-9-]+): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Article:
    """One help article."""

    id: str
    title: str
    content: str
    source: str
    """Such as `articles/delivery.md#delivery-times`."""


def parse(text: str, source: str) -> list[Article]:
    """Split one topic file into its articles."""
    _preamble, *pieces = _HEADING.split(text)
    triples = zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=True)
    return [
        Article(article_id, title.strip(), " ".join(body.split()), f"{source}#{article_id}")
        for article_id, title, body in triples
    ]


@cache
def load_articles() -> tuple[Article, ...]:
    """Give every article, by file name and then in the file's order."""
    return tuple(
        article
        for path in sorted(ARTICLES.glob("*.md"))
        for article in parse(path.read_text(encoding="utf-8"), f"articles/{path.name}")
    )
