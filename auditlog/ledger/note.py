"""Checkpoints as signed notes: C2SP's signed-note, tlog-checkpoint and tlog-cosignature.

The rules:

1. A note is text that ends in a newline, an empty line, and signature lines: em dash, key name, base64 of key id and
   signature. It is UTF-8 without control characters, of at most 64 KB and 64 signatures.
2. A checkpoint is a note whose text is an origin, a tree size, a root in base64, and extension lines that are not empty.
   What has another shape is refused, and nothing of it is used.
3. A signature of an unknown key is passed over; one of a known key that does not verify condemns the whole note.
4. A verifier key is written `name+id+base64(type ‖ key)`, as Go's note package writes it.
5. Nothing is read or written here, and `cryptography` is imported when a signature is made or checked.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from auditlog.errors import FormatError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
ED25519 = 1
"""The type of a signature over the text itself."""
COSIGNATURE = 4
"""The type of a witness's signature over the text and a time."""

_KEY_BYTES = 32
_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_LINE = re.compile(r"auditlog-checkpoint (\S+) (0|[1-9][0-9]*) ([A-Za-z0-9+/]{43}=) ([A-Za-z0-9+/]+={0,2})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_SIZE_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    """Of the key that made it."""
    key_id: bytes
    """Four bytes that tell keys of one name apart."""
    signature: bytes

    def line(self) -> str:
        """Write it as it stands in a note."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name under which it signs."""

    name: str
    type: int
    """`ED25519` or `COSIGNATURE`."""
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The id that stands before this key's signatures."""
        told = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return hashlib.sha256(told).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key as `str` writes it.

        Raises:
            FormatError: it is none, of an unknown type, or its id is not that of its bytes.
        """
        name, _, rest = text.strip().partition("+")
        written, _, encoded = rest.partition("+")
        data = _decode(encoded)
        if data is None or len(data) != 1 + _KEY_BYTES or not _is_name(name):
            raise FormatError("The verifier key is none: it must read NAME+ID+BASE64, as store.toml has it.")
        if data[0] not in (ED25519, COSIGNATURE):
            raise FormatError(f"The verifier key is of type {data[0]}, and this version knows Ed25519 only.")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != written:
            raise FormatError(f"The verifier key of {name!r} was changed: its id is not that of its bytes.")
        return key

    def verifies(self, text: str, signature: Signature) -> bool:
        """Say whether a signature of this key is one of this text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        message, told = text.encode(), signature.signature
        if self.type == COSIGNATURE:
            if len(told) < 8:
                return False
            time = struct.unpack(">Q", told[:8])[0]
            message, told = f"cosignature/v1\ntime {time}\n".encode() + message, told[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(told, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the name under which it signs."""

    key: VerifierKey
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, name: str, private: Ed25519PrivateKey) -> Self:
        """Make a signer of a private key."""
        return cls(VerifierKey(name, ED25519, private.public_key().public_bytes_raw()), private)

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        return Signature(self.key.name, self.key.key_id, self.private.sign(text.encode()))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a ledger: what its tree was at one size."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()

    @property
    def text(self) -> str:
        """What is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    def note(self) -> str:
        """Write it as a signed note."""
        return f"{self.text}\n{''.join(signature.line() for signature in self.signatures)}"

    def line(self) -> str:
        """Write it in one line, for a log or an anchor file; extensions and cosignatures are left out."""
        first = self.signatures[0]
        return (
            f"auditlog-checkpoint {self.origin} {self.size} {base64.b64encode(self.root).decode()} "
            f"{base64.b64encode(first.key_id + first.signature).decode()}"
        )

    def signed(self, signer: Signer) -> Checkpoint:
        """Give it with a signer's signature instead of any that it had."""
        return Checkpoint(self.origin, self.size, self.root, self.extensions, (signer.sign(self.text),))

    def signers(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Give the known keys that signed it.

        Raises:
            FormatError: a signature that names a known key is not that key's.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found: dict[VerifierKey, None] = {}
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is None:
                continue
            if not key.verifies(self.text, signature):
                raise FormatError(f"the signature of {key.name!r} does not verify")
            found[key] = None
        return tuple(found)


def parse_checkpoint(data: bytes | str) -> Checkpoint:
    """Read a checkpoint from a signed note.

    Raises:
        FormatError: it is none; the message says why.
    """
    text, signatures = _split(data)
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise FormatError("the checkpoint lacks a line: it must have an origin, a size and a root")
    origin, size, encoded = lines[:3]
    root = _decode(encoded)
    if not _NUMBER.fullmatch(size) or int(size) >= _SIZE_LIMIT:
        raise FormatError("the checkpoint's size is no number")
    if root is None or len(root) != hashlib.sha256().digest_size:
        raise FormatError("the checkpoint's root is no SHA-256 in base64")
    return Checkpoint(origin, int(size), root, tuple(lines[3:]), signatures)


def find_checkpoints(text: str) -> list[Checkpoint]:
    """Find the checkpoints in a text: signed notes, one behind the other, and the lines that `Checkpoint.line` writes.

    Whatever else stands there, such as the rest of a log, is passed over.
    """
    found = [told for match in _LINE.finditer(text) if (told := _from_line(match)) is not None]
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if not lines[at].startswith("— ") or at == 0 or lines[at - 1]:
            at += 1
            continue
        end = at
        while end < len(lines) and lines[end].startswith("— "):
            end += 1
        start = at - 1
        while start and lines[start - 1] and not lines[start - 1].startswith("— "):
            start -= 1
        # Text that ran into the note is tried with it, and without.
        for begin in dict.fromkeys((start, max(start, at - 4))):
            with contextlib.suppress(FormatError):
                found.append(parse_checkpoint("\n".join(lines[begin:end]) + "\n"))
                break
        at = end
    return found


def _from_line(match: re.Match[str]) -> Checkpoint | None:
    origin, size, root, signature = match.groups()
    try:
        return parse_checkpoint(f"{origin}\n{size}\n{root}\n\n— {origin} {signature}\n")
    except FormatError:
        return None


def _split(data: bytes | str) -> tuple[str, tuple[Signature, ...]]:
    """Take a note apart into its text and its signatures."""
    if len(data) > MAX_NOTE_BYTES:
        raise FormatError(f"the note is longer than {MAX_NOTE_BYTES} bytes")
    try:
        note = data.decode() if isinstance(data, bytes) else data
        note.encode()
    except UnicodeError:
        raise FormatError("the note is not UTF-8") from None
    if any(sign < " " and sign != "\n" for sign in note):
        raise FormatError("the note holds control characters")
    text, gap, rest = note.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise FormatError("the note has no signature lines behind an empty line")
    signatures = []
    for line in rest[:-1].split("\n"):
        match = _SIGNATURE_LINE.fullmatch(line)
        told = _decode(match[2]) if match else None
        if match is None or told is None or len(told) <= _ID_BYTES or not _is_name(match[1]):
            raise FormatError("the note has a line that is no signature behind its empty line")
        signatures.append(Signature(match[1], told[:_ID_BYTES], told[_ID_BYTES:]))
    if len(signatures) > MAX_SIGNATURES:
        raise FormatError(f"the note has more than {MAX_SIGNATURES} signatures")
    return f"{text}\n", tuple(signatures)


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def _decode(encoded: str) -> bytes | None:
    """Decode base64 that is written in the one right way; None where it is not."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == encoded else None
