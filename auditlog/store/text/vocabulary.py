"""The words of a shard in one file, to find those that a part of a word lies in.

The rules:

1. Each word that begins with an ASCII letter or digit stands there once, a line each; an empty line ends the file.
2. A part is looked for among its bytes, which is many times quicker than going through the index's own dictionary. Words that
   begin otherwise are left to the dictionary.
3. Where the file is not there, or not whole, or too many words hold the part, the dictionary answers alone.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditlog.store.text.needle import Word

_FILE = "words"
_MOST_LETTERS = 600
"""Of words that a query names one by one; the library's expressions have some thousand states."""


def write(shard: Path, searcher: Any, field: str) -> None:
    """Write down the words of a shard.

    Raises:
        OSError: they cannot be written.
    """
    with (shard / _FILE).open("wb") as file:
        file.write(b"\n")
        # In lower case as they are, and a part at a time, as there may be millions.
        for first in digits + ascii_lowercase:
            words = (word for word, _ in searcher.terms_with_prefix(field, first))
            file.writelines(word.encode() + b"\n" for word in words)
        file.write(b"\n")


def pattern(shard: Path, word: Word) -> str:
    """Give a regular expression of the words that one whose beginning is not known may be."""
    if word.begins:
        return word.pattern
    found = _holding(shard / _FILE, word)
    if found is None:
        return word.pattern
    return "|".join([*found, word.pattern.removeprefix(".*"), f"[^{digits}a-z]{word.pattern}"])


def _holding(path: Path, word: Word) -> list[str] | None:
    part = word.text.encode() + b"\n" * word.ends
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as words:
            if words[:1] != b"\n" or words[-2:] != b"\n\n":
                return None
            found, at = list[str](), words.find(part)
            # The part is named itself as well, and with something before it.
            left = _MOST_LETTERS - 2 * len(part)
            while at >= 0:
                first, last = words.rfind(b"\n", 0, at) + 1, words.find(b"\n", at)
                left -= last - first
                if left < 0:
                    return None
                found.append(words[first:last].decode())
                at = words.find(part, last)
            return found
    except (OSError, ValueError):
        return None
