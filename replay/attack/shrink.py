"""Makes a successful attack as small as it can be and still work.

The rules:

1. Sentences are taken out first, then words, each time half of what is left and then less (delta debugging).
2. What is left has to work when it is run; nothing is guessed. A bound on executions ends the search, with the best so far.
3. Pure: this proposes texts, and somebody else says which worked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+$")

Works = Callable[[Sequence[str]], Awaitable[Sequence[bool]]]
"""Runs texts, and says of each whether it worked."""


async def shrunk(text: str, works: Works, *, most: int = 40) -> str:
    """Give the smallest text found that works.

    Args:
        text: one that works.
        works: runs texts.
        most: how many texts may be run.
    """
    left = [most]
    for split in (_SENTENCE.findall, lambda t: re.findall(r"\S+\s*", t)):
        text = await _reduced([part for part in split(text) if part.strip()], works, left)
    return text.strip()


async def _reduced(parts: list[str], works: Works, left: list[int]) -> str:
    size = max(1, len(parts) // 2)
    while len(parts) > 1 and left[0] > 0:
        tries = [parts[:at] + parts[at + size :] for at in range(0, len(parts), size)]
        tries = [kept for kept in tries if kept][: left[0]]
        left[0] -= len(tries)
        worked = await works(["".join(kept).strip() for kept in tries])
        best = next((kept for kept, good in zip(tries, worked, strict=True) if good), None)
        if best is not None:
            parts = best
            size = min(size, max(1, len(parts) // 2))
        elif size == 1:
            break
        else:
            size = max(1, size // 2)
    return "".join(parts)
