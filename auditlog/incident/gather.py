"""Gathers what a store can say of one conversation for an incident's file: proofs, checkpoint, who read it, what was lost.

The rules:

1. What cannot be proven is said with its reason, and never makes the file fail: an incident may be yesterday's.
2. A proof is checked before it is handed out.
3. Reading is recorded by whoever asks, before; so the file names that reading, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from auditlog.errors import AuditlogError
from auditlog.incident.evidence import Access, Evidence, RecordEvidence
from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import Proof, prove
from auditlog.keeping.holds import held, holds
from auditlog.ledger.ledger import read_ledger
from auditlog.store import access

if TYPE_CHECKING:
    from auditlog.store.store import Store
    from auditlog.values import Conversation

PROOF = "proof.json"

_AROUND_NS = 60 * 1_000_000_000


def gather(store: Store, conversation: Conversation) -> Evidence:
    """Give what is known of a conversation besides what was said."""
    proof, why = _proof(store, conversation.conversation_id)
    settings = store.settings
    ledger = read_ledger(store.layout.entries)
    files = {}
    if proof is not None:
        files[PROOF] = orjson.dumps(proof.document, option=orjson.OPT_INDENT_2) + b"\n"
        files |= {
            f"ledger-{number}.tlog-proof": text.encode() for number, text in enumerate(proof.tlog_proofs, 1)
        }
    placed = holds(ledger)
    hold = held(store, placed).get(conversation.conversation_id) if placed else None
    entries = list(ledger.each_entry())
    began = min(span.start_ns for span in conversation.spans)
    looked = list(access.accesses(store.layout))
    return Evidence(
        store_id=store.id,
        records=tuple(_records(conversation, proof, why)),
        checkpoint=None if proof is None else str(proof.document["checkpoint"]),
        origin=settings.ledger_origin,
        public_key=settings.public_key,
        anchors=tuple(
            f"the first {entry['size']} entries, in {entry['where']} ({entry['to']})"
            for entry in entries
            if entry["type"] == "anchor"
        ),
        lost_records=_lost(store, conversation, entries),
        accesses=tuple(
            Access(a.time_ns, a.who, a.action, a.rows, a.reason or "")
            for a in looked
            if conversation.conversation_id in a.ids
        ),
        other_accesses=sum(not a.ids and a.time_ns >= began for a in looked),
        sealed_ns=() if proof is None else _sealed(proof),
        notes=() if hold is None else (f"It is held, and may not be erased: {hold.reason}",),
        proofs=files,
    )


def _proof(store: Store, conversation_id: str) -> tuple[Proof | None, str]:
    """Give a proof that was checked, or why there is none."""
    try:
        made = prove(store, {"conversation": conversation_id})
        report = check_proof(made.document)
    except AuditlogError as error:
        return None, str(error)
    return (made, "") if not report.faults else (None, "; ".join(map(str, report.faults)))


def _records(conversation: Conversation, proof: Proof | None, why: str) -> list[RecordEvidence]:
    segments = [] if proof is None else proof.document["segments"]
    proven = {(fact["trace"], fact["span"]) for segment in segments for fact in map(_entry, segment["spans"])}
    found = []
    for span in conversation.spans:
        if (span.trace_id, span.span_id) in proven:
            found.append(RecordEvidence(span.span_id, "erased" if span.erased else "proven", PROOF))
        elif span.segment is None:
            found.append(RecordEvidence(span.span_id, "unsealed", why="it was still in the journal"))
        else:
            reason = why or "its entry in the ledger was not signed yet"
            found.append(RecordEvidence(span.span_id, "erased" if span.erased else "unproven", why=reason))
    return found


def _sealed(proof: Proof) -> tuple[int, ...]:
    """Give the times of the ledger's entries that a proof leads to."""
    return tuple(
        sorted({orjson.loads(segment["entry"]["text"])["time"] for segment in proof.document["segments"]})
    )


def _entry(span: dict[str, Any]) -> dict[str, Any]:
    return orjson.loads(span["text"])


def _lost(store: Store, conversation: Conversation, entries: list[dict[str, Any]]) -> int:
    """Count the records that the writers of these spans could not write around that time."""
    written = store.query(
        "SELECT DISTINCT writer FROM all_spans WHERE conversation_id = ?", [conversation.conversation_id]
    )
    writers = set(written.column("writer").to_pylist())
    first = min(span.start_ns for span in conversation.spans) - _AROUND_NS
    last = max(span.end_ns or span.start_ns for span in conversation.spans) + _AROUND_NS
    return sum(
        gap.get("lost", 0)
        for entry in entries
        if entry["type"] == "seal" and any(source["writer"] in writers for source in entry["sources"])
        for gap in entry.get("gaps", ())
        if first <= gap.get("since", 0) <= last
    )
