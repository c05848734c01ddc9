"""Two rankings of retrieved documents in, how they differ out.

The rules:

1. A document is known by its id, or by its content's digest where it has no id; a second entry of the same
   document in one ranking does not count.
2. Jaccard compares what the chunks say: content digests, so that a re-indexed chunk under a new id is the same.
3. Rank-biased overlap is RBO_EXT of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings"
   (ACM TOIS 28(4), 2010, equation 32), for rankings of any two lengths, with p = 0.9.
4. Two empty rankings agree fully; an empty one and another agree in nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

from auditlog.values import Document
from replay.diff.model import DocumentsDiff

PERSISTENCE = 0.9
"""p of rank-biased overlap: the chance that a reader who looked at one rank looks at the next."""


def documents_diff(before: Sequence[Document], after: Sequence[Document]) -> DocumentsDiff:
    """Compare what two retrievals returned, best document first."""
    old, new = _ranking(before), _ranking(after)
    digests = {_digest(d) for d in before}, {_digest(d) for d in after}
    return DocumentsDiff(
        added=tuple(key for key in new if key not in set(old)),
        removed=tuple(key for key in old if key not in set(new)),
        overlap=overlap_at_k(old, new),
        jaccard=jaccard(*digests),
        rbo=rbo_ext(old, new),
    )


def overlap_at_k(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Give the share of the one top k that the other holds, k the shorter length."""
    k = min(len(before), len(after))
    if k == 0:
        return 1.0 if len(before) == len(after) else 0.0
    return len(set(before[:k]) & set(after[:k])) / k


def jaccard(before: set[str], after: set[str]) -> float:
    """Give the share of all members that both sets hold."""
    union = before | after
    return len(before & after) / len(union) if union else 1.0


def rbo_ext(before: Sequence[Hashable], after: Sequence[Hashable], p: float = PERSISTENCE) -> float:
    """Give the extrapolated rank-biased overlap of two rankings without repeats, from 0 to 1."""
    short, long = sorted((before, after), key=len)
    s, ell = len(short), len(long)
    if s == 0:
        return 1.0 if ell == 0 else 0.0
    seen_short: set[Hashable] = set()
    seen_long: set[Hashable] = set()
    shared_at_s = shared = 0
    total = 0.0
    for depth in range(1, ell + 1):
        item = long[depth - 1]
        seen_long.add(item)
        shared += item in seen_short
        if depth <= s:
            other = short[depth - 1]
            seen_short.add(other)
            shared += other in seen_long
            shared_at_s = shared
        else:
            total += shared_at_s * (depth - s) / (s * depth) * p**depth
        total += shared / depth * p**depth
    tail = ((shared - shared_at_s) / ell + shared_at_s / s) * p**ell
    return min(1.0, (1 - p) / p * total + tail)


def _ranking(documents: Sequence[Document]) -> list[str]:
    return list(dict.fromkeys(d.id if d.id is not None else _digest(d)[:12] for d in documents))


def _digest(document: Document) -> str:
    said = f"content:{document.content}" if document.content is not None else f"id:{document.id}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
