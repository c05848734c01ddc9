"""Proofs that a stranger checks without the store: pure, from a document to what it proves.

The rules:

1. A record's proof is two: from its leaf text to the root of the segment that it was sealed in, and from the ledger's entry
   that lists this segment to a signed checkpoint.
2. A leaf text holds a commitment for each part. What is shown of a part's content is proven by its salt: SHA-256(salt ‖
   content) is the commitment. What is not shown, or was erased, is not needed.
3. Nothing in the document is believed: hashes are made again, and the key comes from whoever checks. Where he brings none,
   the document's own word for it counts, and the report says so.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from auditlog.errors import FormatError
from auditlog.integrity.verdict import Outcome
from auditlog.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from auditlog.ledger.note import Checkpoint, VerifierKey, parse_checkpoint

FORMAT = "auditlog-proof/1"
"""What stands in a proof as `format`."""

_OF = {"conversation", "trace", "span"}


@dataclass(slots=True)
class ProofReport:
    """What checking a proof found."""

    outcome: Outcome = Outcome.VALID
    faults: list[str] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    origin: str | None = None
    key: str | None = None
    size: int = 0
    """Entries that the checkpoint signs."""
    spans: int = 0
    """Records that are proven."""
    parts: int = 0
    """Parts whose content is proven."""
    of: Mapping[str, str] = field(default_factory=dict)
    """What the records are said to be: a `conversation`, or a `span`."""


def tlog_proof(index: int, hashes: Sequence[bytes], note: str, extra: bytes | None = None) -> str:
    """Write the proof that an entry is in the ledger as C2SP's tlog-proof has it; `extra` is the entry."""
    lines = ["c2sp.org/tlog-proof@v1"]
    lines += [f"extra {base64.b64encode(extra).decode()}"] if extra is not None else []
    lines += [f"index {index}", *(base64.b64encode(step).decode() for step in hashes), ""]
    return "\n".join(lines) + "\n" + note


def check_proof(
    document: Any, *, known: Sequence[Checkpoint] | None = None, key: VerifierKey | None = None
) -> ProofReport:
    """Check a proof.

    Args:
        document: as `json.loads` gives it.
        known: checkpoints from elsewhere.
        key: the key to trust; the document's own where it is None.

    Raises:
        FormatError: it is no proof, or one of a newer format.
    """
    report = ProofReport()
    try:
        if document["format"] != FORMAT:
            raise FormatError(
                f"The proof is of format {document['format']!r}, and this version reads {FORMAT}."
            )
        trusted = key or VerifierKey.parse(document["key"])
        head = parse_checkpoint(document["checkpoint"])
        report.of, segments = dict(document["of"]), list(document["segments"])
        if (
            not report.of
            or not report.of.keys() <= _OF
            or not all(type(v) is str for v in report.of.values())
        ):
            raise FormatError("The proof does not say of which conversation, trace or span it is.")
        begins_with = {told["size"]: _hashes(told["proof"]) for told in document.get("begins_with", ())}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"That is no proof of `auditlog prove`: {error!r}.") from None
    report.origin, report.key, report.size = head.origin, str(trusted), head.size
    anchored = _check_head(head, trusted, known or (), begins_with, report)
    seen: set[tuple[str, int]] = set()
    for segment in segments:
        try:
            _check_segment(segment, head, seen, report)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            report.faults.append(f"a segment's proof does not say what it must: {error!r}")
    if not report.spans and not report.faults:
        report.faults.append("it proves nothing: there is no record in it")
    if report.faults:
        report.outcome = Outcome.INVALID
    elif report.divergences:
        report.outcome = Outcome.DIVERGED
    elif not anchored:
        report.outcome = Outcome.UNANCHORED
    return report


def _check_head(
    head: Checkpoint,
    key: VerifierKey,
    known: Sequence[Checkpoint],
    begins_with: Mapping[int, Sequence[bytes]],
    report: ProofReport,
) -> bool:
    """Check the checkpoint; say whether one that is known shows that somebody outside has seen this ledger."""
    try:
        if not head.signers([key]):
            report.faults.append("the checkpoint is not signed by the key that is trusted")
    except FormatError as error:
        report.faults.append(f"the checkpoint: {error}")
    anchored = False
    for other in known:
        size = other.size
        if other.origin != head.origin:
            report.divergences.append(f"the known checkpoint is of another ledger, {other.origin}")
        elif size == head.size and other.root != head.root:
            report.divergences.append(f"two roots at size {size}: the known checkpoint has another")
        elif size == head.size:
            anchored = True
        elif size in begins_with:
            if verify_consistency(size, head.size, other.root, head.root, begins_with[size]):
                anchored = True
            else:
                report.divergences.append(
                    f"the known checkpoint of {size} entries is no beginning of this ledger"
                )
        else:
            report.notes.append(
                f"the known checkpoint is of {size} entries and the proof's of {head.size}, and the proof does not show "
                "that one begins with the other: let it be made with --known-checkpoint"
            )
    return anchored


def _check_segment(
    segment: Mapping[str, Any], head: Checkpoint, seen: set[tuple[str, int]], report: ProofReport
) -> None:
    entry, path = segment["entry"], segment["path"]
    text = entry["text"].encode()
    steps = _hashes(entry["proof"])
    if not verify_inclusion(leaf_hash(text), entry["index"], head.size, steps, head.root):
        report.faults.append(f"ledger entry {entry['index']} is not among those that the checkpoint signs")
        return
    listed = next((s for s in orjson.loads(text).get("segments", ()) if s["path"] == path), None)
    if listed is None:
        report.faults.append(f"ledger entry {entry['index']} does not list {path!r}")
        return
    root, rows = bytes.fromhex(listed["root"]), int(listed["rows"])
    if (segment.get("root", listed["root"]), segment.get("rows", rows)) != (listed["root"], rows):
        report.faults.append(f"of {path!r} the proof says another root or number of rows than the ledger")
    for span in segment["spans"]:
        place = (path, int(span["row"]))
        if place in seen:
            report.faults.append(f"row {place[1]} of {path!r} stands in it twice")
            continue
        seen.add(place)
        _check_span(span, root, rows, report)


def _check_span(span: Mapping[str, Any], root: bytes, rows: int, report: ProofReport) -> None:
    leaf = span["text"].encode()
    entry = orjson.loads(leaf)
    name = f"span {entry['span']!r}"
    if not verify_inclusion(leaf_hash(leaf), span["row"], rows, _hashes(span["proof"]), root):
        report.faults.append(f"{name} is not among the rows that were sealed")
        return
    for kind, wanted in report.of.items():
        if entry.get(kind) != wanted:
            report.faults.append(f"{name} is of another {kind} than the proof says")
            return
    for part, told in span.get("parts", {}).items():
        salt, content = bytes.fromhex(told["salt"]), _content(told)
        if entry["parts"].get(part) != hashlib.sha256(salt + content).hexdigest():
            report.faults.append(f"{name}: the content of {part!r} is not what was sealed")
        else:
            report.parts += 1
    report.spans += 1


def _content(told: Mapping[str, str]) -> bytes:
    return told["text"].encode() if "text" in told else base64.b64decode(told["base64"], validate=True)


def _hashes(steps: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(step) for step in steps]
