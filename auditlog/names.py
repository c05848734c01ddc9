"""Names and ids as an entry can hold them.

The rules:

1. A name is bounded, since a record's entry is; what is cut off is replaced by its hash.
2. A lone surrogate, which UTF-8 has no bytes for, is escaped.
"""

from __future__ import annotations

from typing import Any

MAX_NAME_CHARACTERS = 400


def bounded(text: str) -> str:
    """Cut a name or conversation id that is too long for an entry, and put a hash in place of its rest."""
    if len(text) <= MAX_NAME_CHARACTERS:
        return text
    import hashlib

    rest = f"…{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text[: MAX_NAME_CHARACTERS - len(rest)] + rest


def plain_text(value: Any) -> str:
    """Give a value's text; the lone surrogates in it, which UTF-8 has no bytes for, are escaped."""
    return str(value).encode("utf-8", "backslashreplace").decode()
