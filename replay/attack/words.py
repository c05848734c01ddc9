"""What of a customer's words may go to the server of an attacker that is a model.

The rules:

1. Nothing, unless somebody said so: such a model writes texts with gaps, and the gaps are filled here.
2. Where the store redacts, the words are redacted first, as its records are. Where that cannot be done, nothing is sent.
3. E-mail addresses, everything with a digit in it (numbers of orders, amounts, telephones, dates) and the store's own tokens are
   taken out whether the store redacts or not. A gap stands in their place where the turn has one of the kind.
4. Names and streets in letters are found by the store's redaction, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from auditlog.redaction.token import TOKEN, in_use
from replay.attack.model import Host

if TYPE_CHECKING:
    from auditlog.layout import Layout

MOST_CHARACTERS = 2_000
"""Of a message that is sent."""

_TOKEN = re.compile(TOKEN.pattern.decode())
_ADDRESS = re.compile(r"\S*@\S*")
_WITH_DIGIT = re.compile(r"[^\s,;:!?()\"“”]*\d[^\s,;!?()\"“”]*")
_AMOUNT = re.compile(r"[^\w\s]?\d+(?:[.,]\d+)*[^\w\s]?")

Masks = Callable[[Host], str]
"""Gives what of a turn's words may be sent; nothing where they may not."""


def sendable(layout: Layout) -> Masks:
    """Give what takes out of the words of a store's customers what must not be sent.

    Args:
        layout: the store's.

    Raises:
        ConfigurationError: what the store says of redaction means nothing, or its key cannot be read.
    """
    redactor = None
    if in_use(layout):
        from auditlog.redaction.settings import for_store

        redactor = for_store(layout)

    def mask(host: Host) -> str:
        said = host.said
        if redactor is not None:
            try:
                said = str(orjson.loads(redactor.text(orjson.dumps(said)).text))
            except Exception:  # noqa: BLE001 - rule 2: whatever a recogniser raises
                return ""
        return masked(said, host)

    return mask


def masked(said: str, host: Host) -> str:
    """Take addresses, whatever has a digit, and tokens out of words (rule 3).

    Args:
        said: the words.
        host: the turn that they are of.
    """

    def gap(name: str) -> str:
        return f"{{{name}}}" if name in host.gaps else "[…]"

    def numbered(found: re.Match[str]) -> str:
        word = found[0]
        if word.strip(".") == host.gaps.get("id"):
            return gap("id")
        return gap("amount" if _AMOUNT.fullmatch(word) else "id")

    # Braces of the customer's own would read as gaps.
    said = said.replace("{", "(").replace("}", ")")
    said = _TOKEN.sub(lambda found: gap("email" if found[1] == "email" else "id"), said)
    said = _ADDRESS.sub(gap("email"), said)
    return _WITH_DIGIT.sub(numbered, said)[:MOST_CHARACTERS]
