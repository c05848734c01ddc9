"""Says what redaction took out of recorded calls before they were written.

The rules:

1. What is told is what the records themselves say: how many values of which kind, and never a token or a value.
2. A part that could not be redacted was not written; that is told, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from auditlog.values import Span

COUNTS = ("auditlog.redactions", "auditlog.redactions.start")
FAILED = ("auditlog.redaction_failed", "auditlog.redaction_failed.start")
NOT_WRITTEN = "a part that could not be redacted was not written"

_MANY = {
    "address": "addresses",
    "date_of_birth": "dates of birth",
    "ip": "IP addresses",
    "card_suffix": "card suffixes",
}
_ONE = {"ip": "IP address", "api_key": "API key", "iban": "IBAN", "jwt": "JWT"}


def taken_out_of(spans: Iterable[Span]) -> str:
    """Say how many values of which kind were taken out of some spans: `3 emails, 1 card`; empty where none was."""
    counts: dict[str, int] = {}
    failed = False
    for span in spans:
        for name in COUNTS:
            told = span.attributes.get(name)
            for kind, number in told.items() if isinstance(told, dict) else ():
                if isinstance(number, int):
                    counts[str(kind)] = counts.get(str(kind), 0) + number
        failed |= any(name in span.attributes for name in FAILED)
    parts = [f"{number:,} {_noun(kind, number)}" for kind, number in sorted(counts.items())]
    return ", ".join([*parts, *([NOT_WRITTEN] if failed else [])])


def _noun(kind: str, number: int) -> str:
    one = _ONE.get(kind, kind.replace("_", " "))
    return one if number == 1 else _MANY.get(kind, f"{one}s")
