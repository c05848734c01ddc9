"""Upper and lower case as the database sees it, for comparing outside of it.

The rules:

1. `fold` gives what the database's `lower` gives: each character by itself, whatever stands around it.
2. `lower` of Python differs for two characters: capital sigma, which depends on its place, and dotted capital I, which
   becomes two.
"""

from __future__ import annotations


def fold(text: str) -> str:
    """Give a text in lower case, character by character."""
    if text.isascii():
        return text.lower()
    return text.replace("Σ", "σ").replace("İ", "i").lower()
