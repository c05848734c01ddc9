"""The vault: what redaction took out of a record, encrypted for whoever may see it.

    private, public = generate()          # the private key goes to the privacy officer, and never into a store
    auditlog.configure("./audit", redact=True, reveal_key=public)

The rules:

1. The construction is HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Other
   implementations open it, and whoever records cannot.
2. A box is bound to its record by HPKE's `info`, so that it opens nowhere else.
3. A part `vault` is a JSON list of boxes: a span's START has one, and its END another.
4. A box names the public key that it is sealed to, so that a wrong key is told from damage.
5. A key is text with its purpose in front, so that none is taken for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from auditlog.errors import ConfigurationError, FormatError

PUBLIC = "auditlog-reveal-x25519:"
PRIVATE = "auditlog-reveal-x25519-private:"
VERSION = 1

_INFO = b"auditlog/vault/1 "


def generate() -> tuple[str, str]:
    """Make a pair of keys: the private one, and the public one that records are sealed to."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = X25519PrivateKey.generate()
    return _text(PRIVATE, private.private_bytes_raw()), _text(PUBLIC, private.public_key().public_bytes_raw())


def public_of(private: str) -> str:
    """Give the public key that belongs to a private one.

    Raises:
        ConfigurationError: it is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.from_private_bytes(_bytes(PRIVATE, private))
    return _text(PUBLIC, key.public_key().public_bytes_raw())


def sealer(public: str) -> Callable[[bytes, bytes], bytes]:
    """Give what seals the originals of a record to a public key, given them and what they are bound to.

    Raises:
        ConfigurationError: it is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    raw = _bytes(PUBLIC, public)
    key, name, suite = X25519PublicKey.from_public_bytes(raw), key_name(raw), _suite()

    def seal(originals: bytes, binding: bytes) -> bytes:
        box = suite.encrypt(originals, key, info=_INFO + binding)
        return orjson.dumps([{"v": VERSION, "key": name, "box": base64.b64encode(box).decode()}])

    return seal


def open_vault(part: bytes, private: str, binding: bytes) -> dict[str, str]:
    """Give the originals by token.

    Args:
        part: the part `vault` of a row.
        private: the private key, as `generate` gave it.
        binding: what the record is bound to; see `auditlog.redaction.redactor.bound_to`.

    Raises:
        ConfigurationError: the key is none, or another than the record is sealed to.
        FormatError: the part is damaged, or was moved here from another record.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.from_private_bytes(_bytes(PRIVATE, private))
    name, suite = key_name(key.public_key().public_bytes_raw()), _suite()
    found: dict[str, str] = {}
    for box in _boxes(part):
        if box.get("key") != name:
            raise ConfigurationError(
                f"The record is sealed to the key {box.get('key')}, and this is {name}. Use the key that belongs to it."
            )
        try:
            originals = suite.decrypt(base64.b64decode(box["box"]), key, info=_INFO + binding)
            found.update(orjson.loads(originals))
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise FormatError(
                "What redaction took out of this record is damaged, or belongs to another."
            ) from None
    return found


def key_name(public: bytes) -> str:
    """Give a short name of a public key."""
    return hashlib.sha256(_INFO + public).hexdigest()[:16]


def _boxes(part: bytes) -> list[dict[str, Any]]:
    try:
        boxes = orjson.loads(part)
    except ValueError:
        boxes = None
    if not isinstance(boxes, list) or not all(isinstance(b, dict) and b.get("v") == VERSION for b in boxes):
        raise FormatError("What redaction took out of this record is of no known form.")
    return boxes


def _suite() -> Any:
    from cryptography.hazmat.primitives import hpke

    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def _text(purpose: str, raw: bytes) -> str:
    return purpose + base64.b64encode(raw).decode()


def _bytes(purpose: str, text: str) -> bytes:
    wanted = "public" if purpose == PUBLIC else "private"
    try:
        if not text.strip().startswith(purpose):
            raise ValueError
        raw = base64.b64decode(text.strip().removeprefix(purpose), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != 32:
        raise ConfigurationError(f"This is no {wanted} key to reveal with: it must begin with {purpose!r}.")
    return raw
