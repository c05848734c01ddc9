"""What may be signed, and what has to carry a signature of its own.

The rules:

1. Before a new head is signed, the old checkpoint is compared with the entries: signing never makes a change look right.
2. An entry that takes something away, or that puts or lifts a protection, carries a signature of its own: of its text, its
   place, and the root before it. So who cannot read the key cannot append one and wait until the next entry's head signs it.
3. Where such an entry stands behind the checkpoint without its signature, nothing is signed, and nothing is taken away.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auditlog.errors import FormatError, StoreError
from auditlog.layout import Layout, read_settings
from auditlog.ledger import keys
from auditlog.ledger.entries import decoded
from auditlog.ledger.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from auditlog.ledger.ledger import Ledger
    from auditlog.ledger.note import Checkpoint, Signer, VerifierKey

GUARDED = frozenset(("compact", "prune", "erase", "hold", "release"))
"""The types of entries that carry a signature of their own."""

_FIELD = b',"signature":"'
_FIRST = "auditlog-entry/v1"


def is_guarded(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry has to carry a signature of its own."""
    return entry.get("type") in GUARDED or bool(entry.get("replaces")) or bool(entry.get("removes"))


def signed(body: bytes, signer: Signer, number: int, before: bytes) -> bytes:
    """Give an entry's bytes with a signature of their own.

    Args:
        body: the entry, a JSON object.
        signer: who signs.
        number: the entry's place in the ledger.
        before: the root over the entries before it.
    """
    made = signer.sign(_text(signer.key.name, body, number, before)).signature
    return body[:-1] + _FIELD + base64.b64encode(made) + b'"}'


def is_signed(payload: bytes, key: VerifierKey, number: int, before: bytes) -> bool:
    """Say whether an entry's bytes carry the signature of a key for this place."""
    from auditlog.ledger.note import Signature

    head, found, told = payload.rpartition(_FIELD)
    if not found or not told.endswith(b'"}'):
        return False
    try:
        made = base64.b64decode(told[:-2], validate=True)
    except (binascii.Error, ValueError):
        return False
    text = _text(key.name, head + b"}", number, before)
    return key.verifies(text, Signature(key.name, key.key_id, made))


def head_of(layout: Layout) -> Checkpoint | None:
    """Read the checkpoint; None where there is none that reads."""
    try:
        return keys.read_checkpoint(layout)
    except FormatError:
        return None


def refuse_other_past(layout: Layout, ledger: Ledger, head: Checkpoint | None) -> None:
    """Raise StoreError where the checkpoint is not one of this ledger, or what follows it takes something away unsigned.

    Args:
        layout: the store.
        ledger: as it was read after the checkpoint, or under the lock.
        head: the checkpoint.

    Raises:
        StoreError: it is so.
    """
    key = keys.public_key(read_settings(layout))
    if key is None:
        return
    try:
        good = head is not None and bool(head.signers([key]))
    except FormatError:
        good = False
    found = None
    if head is not None and good:
        found = ledger.root if head.size == ledger.count else (ledger.at(head.size) or (None,))[0]
    if head is None or found != head.root:
        msg = (
            f"{layout.entries} is not what its checkpoint signed, and signing what it says now would hide that. "
            "Nothing was appended or removed; `auditlog verify` says what is wrong."
        )
        raise StoreError(msg)
    if head.size == ledger.count:
        return
    tree = Frontier()
    for number, payload in enumerate(ledger.payloads()):
        if number >= head.size:
            entry = decoded(payload) or {}
            if is_guarded(entry) and not is_signed(payload, key, number, tree.root()):
                msg = (
                    f"Entry {number} of {layout.entries} ({str(entry.get('type'))[:20]}) takes something away or lifts a "
                    "protection, and nobody who holds the key wrote it. Nothing was appended or removed. Put the ledger "
                    "back from a copy; `auditlog verify` says more."
                )
                raise StoreError(msg)
        tree.add(leaf_hash(payload))


def _text(name: str, body: bytes, number: int, before: bytes) -> str:
    return f"{_FIRST}\n{name}\n{number}\n{before.hex()}\n{hashlib.sha256(body).hexdigest()}\n"
