"""Tokens: what stands in a record in place of a value.

    anna.smith@example.com  →  <email:kqzwtbnmhxrjvd>

The rules:

1. A token is HMAC-SHA256(key, kind ‖ 0x00 ‖ normal form of the value), cut to 14 letters: 65.8 bits. Two of 10 million
   values share one with a chance of about one in a million, and whoever has not the key cannot test a guess.
2. It has letters only, so that no pattern for numbers, dates or keys finds anything in it: redacting twice changes nothing.
3. It says the kind and nothing else of the value: neither its length nor a piece of it.
4. The key is the store's: `keys/redaction.key`, 32 random bytes in hex, mode 0600, made once; of several processes
   that make it one wins, and the others take what it made. One customer has one token in the whole store.
5. Whoever loses the key can no longer look a customer up; whoever destroys it makes the tokens anonymous.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import TYPE_CHECKING

from auditlog import key_files

if TYPE_CHECKING:
    from auditlog.layout import Layout

LETTERS = 14
TOKEN = re.compile(rb"<([a-z][a-z0-9_]{0,31}):([a-z]{14})>")
"""A token in UTF-8 text; its kind and its letters."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def token(key: bytes, kind: str, normal: str) -> str:
    """Give the token of a value's normal form."""
    digest = hmac.digest(key, kind.encode() + b"\x00" + normal.encode("utf-8", "surrogatepass"), "sha256")
    number = int.from_bytes(digest[:16], "big")
    letters = []
    for _ in range(LETTERS):
        number, letter = divmod(number, 26)
        letters.append(_ALPHABET[letter])
    return f"<{kind}:{''.join(letters)}>"


def is_kind(name: str) -> bool:
    """Say whether a kind may be called so."""
    return _KIND.fullmatch(name) is not None


def key_path(layout: Layout) -> Path:
    """Give the path of a store's key."""
    return layout.root / "keys" / "redaction.key"


def in_use(layout: Layout) -> bool:
    """Say, without loading any pattern, whether a store may want redaction: it has a key, or settings about it."""
    # TOML has many ways to write a table; whoever mentions one is asked what it says.
    return key_path(layout).exists() or b"redaction" in layout.settings.read_bytes()


def find_key(layout: Layout) -> bytes | None:
    """Read a store's key; None where nothing was ever redacted.

    Raises:
        ConfigurationError: it is there, and cannot be used.
    """
    return key_files.find(key_path(layout), "Redaction")


def ensure_key(layout: Layout) -> bytes:
    """Read a store's key, made where there is none.

    Raises:
        ConfigurationError: it can neither be read nor made.
    """
    return key_files.ensure(key_path(layout), "Redaction")


def key_id(key: bytes) -> str:
    """Give a short name of a key that tells nothing of it."""
    return hashlib.sha256(b"auditlog redaction key\x00" + key).hexdigest()[:12]
