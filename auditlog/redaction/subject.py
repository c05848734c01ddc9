"""Looks a customer up by token, so that nobody needs the plain value in the store, in a log or in a ledger.

The rules:

1. A value is looked for under every kind that it could be, by the store's own key; a token that was never written is
   found nowhere.
2. What is a token already stands for itself.
3. Nothing is made here: in a store without a key nothing was redacted, and there is nothing to look for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditlog.errors import FilterError
from auditlog.redaction.kinds import Kind, known_kinds
from auditlog.redaction.redactor import normal_form
from auditlog.redaction.settings import said
from auditlog.redaction.token import TOKEN, find_key, token

if TYPE_CHECKING:
    from auditlog.layout import Layout


def subject_tokens(layout: Layout, value: str) -> list[str]:
    """Give the tokens that a value may have in a store; none where nothing was redacted.

    Raises:
        ConfigurationError: the store's key cannot be read.
        FilterError: the value is empty.
    """
    value = value.strip()
    if not value:
        raise FilterError("There is nobody to look for: name an address, a number or a token.")
    if TOKEN.fullmatch(value.encode("utf-8", "replace")):
        return [value]
    key = find_key(layout)
    if key is None:
        return []
    found = {
        token(key, kind.name, normal): None for kind in known_kinds().values() if (normal := _as(kind, value))
    }
    for name in said(layout).get("recognisers", []):
        from auditlog.redaction.recogniser import load

        for kind in load(str(name)).kinds:
            if normal := normal_form(kind, value):
                found[token(key, kind, normal)] = None
    return list(found)


def _as(kind: Kind, value: str) -> str:
    """Give a value's normal form as a kind; empty where it can be none of that kind."""
    # What the checks are made for has been through a pattern first.
    for pattern in kind.patterns:
        try:
            fits = pattern.check is None or pattern.check(value) > 0
        except (ValueError, LookupError):
            fits = False
        if fits:
            return kind.normal(value)
    return ""
