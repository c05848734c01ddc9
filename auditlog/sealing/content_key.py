"""The content key: what encrypts the columns of a sealed file that hold content.

The rules:

1. A store that encrypts says so in `store.toml`, with the key's id, a hash of it: who has no key knows which one is missing.
2. The key is 32 random bytes, in `keys/content.key` or in the file that `AUDITLOG_CONTENT_KEY` names; a file with another
   key is as none.
3. What is encrypted is what COLUMNS names, by Parquet's own encryption: AES-256-GCM, a data key for each file, which the
   content key wraps. The footer stays plain, so that any tool reads the other columns.
4. Without the key nothing is sealed, and no content shows: whatever needs it says which key that is.
5. It is never logged, and reaches another process through a pipe only.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlog.errors import ContentKeyError, StoreError
from auditlog.layout import Layout, read_settings, sync_directory
from auditlog.record import PACKED

if TYPE_CHECKING:
    import pyarrow.parquet.encryption as pe

ENCRYPTED = "(encrypted)"
"""What stands for the reason of an escalation, which is told of without it."""
VARIABLE = "AUDITLOG_CONTENT_KEY"
COLUMNS = (PACKED, "salt", "user_text", "answer_text", "escalation_reason")
"""The columns of a file that are encrypted: the parts, what their commitments are salted with, and what is cut out of them."""
ESCALATED = "escalated"
"""The column that an encrypted file has besides: whether there is a reason of an escalation."""

_BYTES = 32
_PREFIX = "auditlog-content:"
_ID = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{32}")
_NAME = "content"
"""What files call the key; their own id says which it is."""
_NONCE = 12
_FOR_EVER = timedelta(days=36_500)
"""How long Arrow keeps the object that unwraps: it makes it under a lock of its own while it waits for the interpreter's."""
_READING = "Reading what was said"


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The key of a store that encrypts."""

    id: str
    secret: bytes | None
    """None where it is not here."""

    def needed(self, what: str = _READING) -> ContentKeyError:
        """Give the error that says which key is missing."""
        return ContentKeyError(missing(self.id, what))


def missing(name: str, what: str = _READING) -> str:
    """Say which key is missing, and for what."""
    return f"{what} needs the content key {name}, which is not here. If you have its file, name it in {VARIABLE}."


def of(root: Path) -> ContentKey | None:
    """Give the content key of the store at a path; None where it encrypts nothing.

    Raises:
        StoreError: the settings cannot be read, or name no key.
    """
    name = read_settings(Layout(root)).content_key
    if name is None:
        return None
    if not _ID.fullmatch(name):
        msg = f"{root / 'store.toml'} is damaged: `key` under [content] is no id of a content key."
        raise StoreError(msg)
    for path in places(Layout(root)):
        secret = _read(path)
        if secret is not None and id_of(secret) == name:
            return ContentKey(name, secret)
    return ContentKey(name, None)


def of_file(path: Path) -> ContentKey | None:
    """Give the content key of the store that a sealed file lies in."""
    root = path.absolute().parents[2]
    return of(root) if (root / "store.toml").is_file() else None


def places(layout: Layout) -> list[Path]:
    """Give the files that may hold the key, the first that counts first."""
    named = os.environ.get(VARIABLE)
    return [*([Path(named)] if named else []), layout.root / "keys" / "content.key"]


def id_of(secret: bytes) -> str:
    """Give the id of a key."""
    return _PREFIX + hashlib.sha256(b"auditlog content key\0" + secret).hexdigest()[:32]


def make(layout: Layout) -> tuple[str, Path]:
    """Let a store that has sealed nothing encrypt content from now on; give the key's id, and where it is.

    Raises:
        StoreError: files are sealed already, or the key cannot be written.
    """
    found = of(layout.root)
    if found is not None:
        return found.id, places(layout)[0]
    if any(layout.segments.glob("day=*/*")):
        msg = (
            f"{layout.root} holds sealed files, which stay as they are. Encrypt in a new store: "
            "`auditlog init --encrypt-content DIR`, and export and import what it is to hold."
        )
        raise StoreError(msg)
    path = places(layout)[0]
    secret = _read(path)
    if secret is None:
        secret = os.urandom(_BYTES)
        _write(path, secret)
    name = id_of(secret)
    text = layout.settings.read_text(encoding="utf-8").rstrip("\n")
    draft = layout.root / f".store-{os.getpid()}-content.toml"
    try:
        draft.touch(0o600)
        with draft.open("w", encoding="utf-8") as file:
            file.write(f'{text}\n\n[content]\nkey = "{name}"\n')
            file.flush()
            os.fsync(file.fileno())
        draft.replace(layout.settings)
        sync_directory(layout.root)
    except OSError as error:
        raise StoreError(f"{layout.settings} cannot be written: {error.strerror}.") from None
    return name, path


def require(root: Path, what: str) -> None:
    """Raise ContentKeyError where a store encrypts and the key is not here."""
    found = of(root)
    if found is not None and found.secret is None:
        raise found.needed(what)


def encryption(secret: bytes) -> Any:
    """Give what a file's writer encrypts with."""
    import pyarrow.parquet.encryption as pe

    columns = [f"{name}.list.element" if name == PACKED else name for name in COLUMNS]
    asked = pe.EncryptionConfiguration(
        footer_key=_NAME,
        column_keys={_NAME: columns},
        plaintext_footer=True,
        double_wrapping=False,
        data_key_length_bits=_BYTES * 8,
        cache_lifetime=_FOR_EVER,
    )
    return _factory(secret).file_encryption_properties(pe.KmsConnectionConfig(), asked)


def decryption(secret: bytes) -> Any:
    """Give what a file's reader decrypts with."""
    import pyarrow.parquet.encryption as pe

    asked = pe.DecryptionConfiguration(cache_lifetime=_FOR_EVER)
    return _factory(secret).file_decryption_properties(pe.KmsConnectionConfig(), asked)


def dataset_decryption(secret: bytes) -> Any:
    """Give what a data set's reader decrypts with; read one file's footer before more than one thread has it."""
    import pyarrow.dataset as ds
    import pyarrow.parquet.encryption as pe

    return ds.ParquetDecryptionConfig(
        _factory(secret), pe.KmsConnectionConfig(), pe.DecryptionConfiguration(cache_lifetime=_FOR_EVER)
    )


def sealed_text(secret: bytes, text: str) -> str:
    """Encrypt a text that stands outside of the sealed files, such as a filter."""
    return _wrapped(_beside(secret), text.encode("utf-8", "backslashreplace"), b"text").decode()


def opened_text(secret: bytes, text: str) -> str | None:
    """Decrypt what `sealed_text` made; None where it is something else."""
    try:
        return _unwrapped(_beside(secret), text.encode(), b"text").decode()
    except StoreError:
        return None


@functools.cache
def _factory(secret: bytes) -> pe.CryptoFactory:
    import pyarrow.parquet.encryption as pe

    class Wrapper(pe.KmsClient):
        """Wraps the data keys of files with the content key."""

        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            return _wrapped(secret, key_bytes, master_key_identifier.encode())

        def unwrap_key(self, wrapped_key: bytes | str, master_key_identifier: str) -> bytes:
            wrapped = wrapped_key.encode() if isinstance(wrapped_key, str) else wrapped_key
            return _unwrapped(secret, wrapped, master_key_identifier.encode())

    return pe.CryptoFactory(lambda _config: Wrapper())


def _wrapped(secret: bytes, plain: bytes, bound: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    return base64.b64encode(nonce + AESGCM(secret).encrypt(nonce, plain, bound))


def _unwrapped(secret: bytes, wrapped: bytes, bound: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = base64.b64decode(wrapped, validate=True)
        return AESGCM(secret).decrypt(data[:_NONCE], data[_NONCE:], bound)
    except (ValueError, InvalidTag):
        raise StoreError("it is encrypted with another key") from None


def _beside(secret: bytes) -> bytes:
    return hashlib.sha256(b"auditlog beside the files\0" + secret).digest()


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            found = file.read(_BYTES + 1)
    except OSError:
        return None
    return found if len(found) == _BYTES else None


def _write(path: Path, secret: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made: {error.strerror}. Name another place in {VARIABLE}."
        ) from None
