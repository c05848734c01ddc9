"""Checkpoints as signed notes: ours read by others, others' by us, and hostile ones refused."""

import base64
import dataclasses
import hashlib
import struct

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FormatError
from auditlog.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Signature,
    Signer,
    VerifierKey,
    find_checkpoints,
    parse_checkpoint,
)

ROOT = hashlib.sha256(b"root").digest()
SIGNER = Signer.of("auditlog/store-1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer.of("auditlog/store-1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
SIGNED = Checkpoint("auditlog/store-1", 412, ROOT).signed(SIGNER)


def cosigned(checkpoint, name="witness.example/w1", time=1_700_000_000):
    """Add a witness's signature, as C2SP's tlog-cosignature has it; give the note and the witness's key."""
    private = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
    key = VerifierKey(name, COSIGNATURE, private.public_key().public_bytes_raw())
    told = struct.pack(">Q", time)
    told += private.sign(f"cosignature/v1\ntime {time}\n{checkpoint.text}".encode())
    signatures = (*checkpoint.signatures, Signature(name, key.key_id, told))
    return dataclasses.replace(checkpoint, signatures=signatures), key


def test_a_checkpoint_reads_back():
    """A signed note is what was written, and its signature verifies."""
    found = parse_checkpoint(SIGNED.note().encode())
    assert (found, found.signers([SIGNER.key])) == (SIGNED, (SIGNER.key,))


def test_sigstore_verifies_our_checkpoint():
    """An implementation that is not ours reads our note, and its signature verifies there."""
    from sigstore._internal.rekor.checkpoint import SignedCheckpoint
    from sigstore.errors import VerificationError

    class Keyring:
        """The key, as sigstore asks for it."""

        def verify(self, *, key_id, signature, data):
            try:
                SIGNER.private.public_key().verify(signature, data)
            except InvalidSignature:
                raise VerificationError("bad") from None

    found = SignedCheckpoint.from_text(SIGNED.note())
    assert (found.checkpoint.origin, found.checkpoint.log_size) == ("auditlog/store-1", 412)
    assert found.checkpoint.log_hash == ROOT.hex()
    found.signed_note.verify(Keyring(), SIGNER.key.key_id)
    changed = SignedCheckpoint.from_text(SIGNED.note().replace("\n412\n", "\n413\n"))
    with pytest.raises(VerificationError):
        changed.signed_note.verify(Keyring(), SIGNER.key.key_id)


def test_the_published_example_verifies():
    """The example of C2SP's signed-note page has the key id and the signature that ours computes for its key."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    data = base64.b64decode(signature)
    assert key.verifies(text, Signature("PeterNeumann", data[:4], data[4:]))
    assert not key.verifies(text + " ", Signature("PeterNeumann", data[:4], data[4:]))
    assert "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW" == str(key)


def test_signatures_of_unknown_keys_are_passed_over():
    """Witnesses that nobody here knows change nothing; those that are known are told."""
    note, witness = cosigned(SIGNED)
    found = parse_checkpoint(note.note())
    assert (SIGNER.key,) == found.signers([SIGNER.key])
    assert (SIGNER.key, witness) == found.signers([SIGNER.key, witness])
    assert () == found.signers([OTHER.key])


def test_a_witness_signs_the_time_too():
    """A cosignature with another time, or one too short to hold a time, does not verify."""
    note, witness = cosigned(SIGNED)
    told = note.signatures[1]
    for changed in (b"\0" * 8 + told.signature[8:], told.signature[:7]):
        forged = dataclasses.replace(told, signature=changed)
        with pytest.raises(FormatError, match="does not verify"):
            dataclasses.replace(note, signatures=(forged,)).signers([witness])


@pytest.mark.parametrize("part", ["origin", "size", "root"])
def test_another_text_under_the_same_signature_is_refused(part):
    """A signature says nothing about another origin, size or root, and condemns the note that claims so."""
    other = {"origin": "auditlog/store-2", "size": 413, "root": bytes(32)}[part]
    with pytest.raises(FormatError, match="does not verify"):
        dataclasses.replace(SIGNED, **{part: other}).signers([SIGNER.key])


def test_one_bad_signature_of_a_known_key_condemns_the_note():
    """Where one known key's signature is good and another's bad, the note is refused."""
    forged = Signature(OTHER.key.name, OTHER.key.key_id, SIGNED.signatures[0].signature)
    note = dataclasses.replace(SIGNED, signatures=(*SIGNED.signatures, forged))
    with pytest.raises(FormatError, match="does not verify"):
        note.signers([SIGNER.key, OTHER.key])


NOTE = SIGNED.note()
HOSTILE = {
    "no signature": NOTE.rpartition("\n\n")[0] + "\n\n",
    "no empty line": NOTE.replace("\n\n", "\n"),
    "no last newline": NOTE[:-1],
    "a hyphen for the dash": NOTE.replace("—", "-"),
    "a newline in the origin": NOTE.replace("auditlog/store-1\n412", "auditlog/\nstore-1\n412", 1),
    "an empty origin": NOTE.replace("auditlog/store-1\n412", "\n412", 1),
    "an empty line in the text": NOTE.replace("\n412\n", "\n\n412\n"),
    "a control character": NOTE.replace("store-1\n412", "store-1\x1b[2J\n412"),
    "carriage returns": NOTE.replace("\n", "\r\n"),
    "a size with a zero before it": NOTE.replace("\n412\n", "\n0412\n"),
    "a negative size": NOTE.replace("\n412\n", "\n-412\n"),
    "a size of 20 digits": NOTE.replace("\n412\n", f"\n{10**19}\n"),
    "a size in other digits": NOTE.replace("\n412\n", "\n٤١٢\n"),
    "a root that is too short": NOTE.replace(base64.b64encode(ROOT).decode(), "AAAA"),
    "a root in another base64": NOTE.replace(base64.b64encode(ROOT).decode(), "_" * 43 + "="),
    "a name with a plus": NOTE.replace("— auditlog/store-1", "— auditlog+store-1"),
    "a name with a space": NOTE.replace("— auditlog/store-1", "— auditlog store-1"),
    "a signature of no bytes": NOTE.rpartition("— ")[0] + "— auditlog/store-1 AAAAAA==\n",
    "another line behind": NOTE + "more\n",
    "too many signatures": NOTE + SIGNED.signatures[0].line() * 64,
    "too long": NOTE.replace("\n412\n", f"\n412\n{'A' * 70_000}\n"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_checkpoint_is_refused(kind):
    """A note of another shape is an error, and nothing of it is used."""
    with pytest.raises(FormatError):
        parse_checkpoint(HOSTILE[kind].encode())


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_are_a_checkpoint_or_an_error(data):
    """Whatever a file holds, reading it gives a checkpoint or says that it is none."""
    try:
        parse_checkpoint(data)
    except FormatError:
        pass


@given(st.data())
def test_one_flipped_bit_is_always_found(data):
    """A checkpoint with any one bit flipped is refused, or its signature does not verify."""
    note = bytearray(NOTE.encode())
    position = data.draw(st.integers(0, len(note) - 1))
    note[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        signers = parse_checkpoint(bytes(note)).signers([SIGNER.key])
    except FormatError:
        return
    assert () == signers


def test_checkpoints_are_found_among_other_text():
    """A log in which checkpoints stand, as notes or as lines, gives them all, and what is broken is passed over."""
    second = Checkpoint("auditlog/store-1", 413, bytes(32)).signed(SIGNER)
    log = (
        f"2026-11-23 info {second.line()} sealed\n{NOTE}\n{cosigned(second)[0].note()}"
        f"noise\n\n— no note\n{second.line()[:-9]}!\nnoise\n\n{NOTE}"
    )
    assert [413, 412, 413, 412] == [found.size for found in find_checkpoints(log)]
    assert all(found.signers([SIGNER.key]) for found in find_checkpoints(log))
    assert [] == find_checkpoints("")


def test_a_key_reads_back_and_a_changed_one_is_refused():
    """A verifier key is what Go's note package writes; one with a changed byte says so."""
    text = str(SIGNER.key)
    assert SIGNER.key == VerifierKey.parse(f"{text}\n")
    for position in range(len(text)):
        changed = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
        with pytest.raises(FormatError):
            VerifierKey.parse(changed)


@pytest.mark.parametrize("text", ["", "x", "a+b", "a+b+c", "a+00000000+Ag==", "+00000000+" + "A" * 44])
def test_what_is_no_key_is_refused(text):
    """Other text is no key, and says what one looks like."""
    with pytest.raises(FormatError, match="verifier key"):
        VerifierKey.parse(text)


def test_a_key_of_an_unknown_kind_is_refused():
    """A key of an algorithm that is not known is not taken for another."""
    key = VerifierKey("n", 6, bytes(32))
    with pytest.raises(FormatError, match="of type 6"):
        VerifierKey.parse(str(key))
