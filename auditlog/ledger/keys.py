"""The ledger's signing key, and the checkpoint that it signs.

The rules:

1. The key is made once, by whoever first appends to the ledger under its lock: first the key's file as a draft, then a
   checkpoint of the ledger as it stands, then the key's file gets its name, then `store.toml` the origin and the public
   key. So where there is a key there is a checkpoint; a store that has lost the key gets no other, and a ledger that has
   lost its checkpoint no other signature.
2. The key's file is 0600 in a directory that is 0700. Whoever cannot read it appends without signing.
3. A checkpoint is written beside its place, synced, and renamed over the old one; only for entries that are synced.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from auditlog.errors import FormatError, StoreError
from auditlog.layout import Layout, Settings, read_settings, sync_directory
from auditlog.ledger.note import MAX_NOTE_BYTES, Checkpoint, Signer, VerifierKey, parse_checkpoint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/]{64})\n-----END PRIVATE KEY-----\n?")
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")


def key_path(layout: Layout) -> Path:
    """Give the place of the private key."""
    return layout.root / "keys" / "ledger.key"


def checkpoint_path(layout: Layout) -> Path:
    """Give the place of the signed checkpoint."""
    return layout.ledger / "checkpoint"


def origin_of(store_id: str) -> str:
    """Give the name under which a store's ledger is signed."""
    return f"auditlog/{store_id}"


def public_key(settings: Settings) -> VerifierKey | None:
    """Give the key that `store.toml` names; None where it names none.

    Raises:
        FormatError: what it names is no key.
    """
    return None if settings.public_key is None else VerifierKey.parse(settings.public_key)


def signer_of(layout: Layout, head: Checkpoint | None = None) -> Signer | None:
    """Give what signs this store's ledger; the caller holds the ledger's lock.

    Args:
        layout: the store.
        head: the ledger as it stands, without a signature: where the store has no key yet, one is made, and signs it.

    Raises:
        StoreError: the key cannot be made, or is none.
    """
    settings = read_settings(layout)
    if settings.public_key is None:
        return _made(layout, head) if head is not None else None
    private = _read(key_path(layout))
    if private is None or settings.ledger_origin is None:
        return None
    signer = Signer.of(settings.ledger_origin, private)
    return signer if str(signer.key) == settings.public_key else None


def read_checkpoint(layout: Layout) -> Checkpoint | None:
    """Read the store's checkpoint, its signature unchecked; None where there is none.

    Raises:
        FormatError: it is no checkpoint.
        StoreError: it cannot be read.
    """
    path = checkpoint_path(layout)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            return parse_checkpoint(file.read(MAX_NOTE_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Check its owner and mode."
        raise StoreError(msg) from None
    except FormatError as error:
        raise FormatError(f"{path} is damaged: {error}.") from None


def write_checkpoint(layout: Layout, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the old one."""
    _write(checkpoint_path(layout), checkpoint.note().encode(), layout.ledger, 0o644)


def _made(layout: Layout, head: Checkpoint) -> Signer | None:
    draft = _draft_path(layout)
    drafted = not os.path.lexists(key_path(layout))
    private = _read(draft if drafted else key_path(layout))
    found = read_checkpoint(layout)
    if found is not None:
        # The signer died before store.toml could name its key; or somebody took the key out of it.
        if private is None:
            return None
        signer = Signer.of(found.origin, private)
        try:
            if not found.signers([signer.key]):
                return None
        except FormatError:
            return None
    else:
        if private is None and drafted:
            private = _new(draft)
        if private is None:
            return None
        if not drafted and head.size:
            msg = (
                f"{checkpoint_path(layout)} is missing, and a new one would hide what was changed since. Nothing was appended. "
                "Put it back from a copy of the store; `auditlog verify` says what is wrong."
            )
            raise StoreError(msg)
        signer = Signer.of(head.origin, private)
        write_checkpoint(layout, head.signed(signer))
        sync_directory(layout.ledger)
    if drafted:
        os.replace(draft, key_path(layout))  # noqa: PTH105 - beside the other calls of the operating system
        sync_directory(draft.parent)
    text = layout.settings.read_text(encoding="utf-8").rstrip("\n")
    text += f'\n\n[ledger]\norigin = "{signer.key.name}"\npublic_key = "{signer.key}"\n'
    _write(layout.settings, text.encode(), layout.root, 0o600)
    sync_directory(layout.root)
    return signer


def _draft_path(layout: Layout) -> Path:
    return key_path(layout).with_suffix(".draft")


def _new(path: Path) -> Ed25519PrivateKey | None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if os.path.lexists(path):
        # There is one that this user may not read.
        return None
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _write(path, text, path.parent, 0o600)
        sync_directory(path.parent)
        sync_directory(path.parent.parent)
    except PermissionError:
        return None
    except OSError as error:
        msg = f"{path} cannot be made: {error.strerror}. The ledger needs a key to be signed; check the store's owner and mode."
        raise StoreError(msg) from None
    return private


def _read(path: Path) -> Ed25519PrivateKey | None:
    """Read a private key; None where there is none, or none that this user may read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            data = file.read(MAX_NOTE_BYTES)
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Put the real file there."
        raise StoreError(msg) from None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    # PKCS #8 of an Ed25519 key is 16 fixed bytes and the key. Importing the general reader takes three times as long as the
    # rest of a signature.
    plain = _PEM.fullmatch(data)
    told = base64.b64decode(plain[1]) if plain else b""
    if len(told) == len(_PKCS8) + 32 and told.startswith(_PKCS8):
        return Ed25519PrivateKey.from_private_bytes(told[len(_PKCS8) :])
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        msg = f"{path} is no private key: {str(error).partition('.')[0]}. Put it back from a copy; never make another."
        raise StoreError(msg) from None
    if not isinstance(private, Ed25519PrivateKey):
        msg = f"{path} is no Ed25519 key, and the ledger is signed with no other. Put it back from a copy."
        raise StoreError(msg)
    return private


def _write(path: Path, data: bytes, directory: Path, mode: int) -> None:
    """Put a file in its place, whole and synced, or leave what is there."""
    draft = directory / f".store-{os.getpid()}-{path.name}"
    descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, path)  # noqa: PTH105 - beside the other calls of the operating system
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)  # noqa: PTH108 - as above
        raise
