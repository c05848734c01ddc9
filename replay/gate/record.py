"""The verdict as a record of the store, and its way back.

The rules:

1. A verdict is a record of kind `other`, named `replay_gate`, with the run's id: the policy and its digest, case list digest,
   each check's figures. It is sealed like any other, and the ledger's signature covers it.
2. It holds no words of customers or agents: figures, ids and sentences of ours.
3. Judging again appends; nothing is overwritten.
4. It is called signed where the checkpoint says so: sealed, among the entries that the checkpoint signs, by the store's key. A
   copy of the store without the key hashes it into its ledger, and signs nothing: whoever may write there could have written it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlog.errors import StoreError
from auditlog.redaction.writer import redacting
from auditlog.values import Json
from replay.gate.check import SHOWN_EXAMPLES, Verdict, storable
from replay.running.records import RUN, own_records, run_span
from replay.running.runs import load_manifest

if TYPE_CHECKING:
    from auditlog.store import Store

VERDICT = "replay_gate"
"""The name of the records."""
_VERSION = 1


def record(store: Store, verdict: Verdict) -> str:
    """Append a verdict to the store, and seal it.

    Returns:
        What the record is: signed, or only hashed, in a sentence.

    Raises:
        StoreError: it cannot be written.
    """
    journal = store.writer()
    writer = redacting(store.layout, journal)
    try:
        kept = writer.append(run_span(VERDICT, verdict.run_id, document(verdict), {RUN: verdict.run_id}))
        if not (kept and writer.flush()):
            raise StoreError(
                "The verdict cannot be written into the store's journal: is the disk full, or the store read-only? "
                "Judge again with --no-record to see it without."
            )
        source = None if journal.path is None else journal.path.stem
    finally:
        writer.close()
    store.seal(wait=True)
    return _standing(store, source)


def _standing(store: Store, source: str | None) -> str:
    """Say what became of the record, which a journal file of this stem holds (rule 4)."""
    from auditlog.ledger import keys, signing
    from auditlog.ledger.ledger import read_ledger

    ledger = read_ledger(store.layout.entries)
    if source not in ledger.sources:
        return (
            "recorded in the store's journal, and not sealed yet, so nothing signs it: `auditlog seal` does"
        )
    key = keys.public_key(store.settings)
    if key is None:
        return (
            "recorded in the store and hashed into its ledger, but not signed: this store has no signing key, so whoever may "
            "write to it could have written this. `auditlog keys` and `auditlog doctor` say how to have one"
        )
    head = signing.head_of(store.layout)
    if head is None or not head.signers([key]) or (head.size, head.root) != (ledger.count, ledger.root):
        return (
            "recorded in the store and hashed into its ledger, but not signed: the key is not here, so whoever may write to "
            "this copy could have written this. Seal as who holds the key, `auditlog seal`"
        )
    return "recorded in the store, sealed and covered by the ledger's signature; `auditlog verify` checks it"


def document(verdict: Verdict) -> dict[str, Json]:
    """Give what the store keeps of a verdict."""
    return {
        "version": _VERSION,
        "run_id": verdict.run_id,
        "verdict": verdict.outcome,
        "judged": verdict.judged.isoformat(),
        "level": verdict.level,
        "owner": verdict.owner,
        "policy_digest": verdict.policy_digest,
        "policy": verdict.policy_text,
        "cases_digest": verdict.cases_digest,
        "cases": verdict.cases,
        "conversations": verdict.conversations,
        "candidate": verdict.candidate,
        "baseline": verdict.baseline,
        "facts": dict(verdict.facts),
        "checks": [
            {
                "id": check.id,
                "outcome": check.outcome,
                "gates": check.gates,
                "figures": storable(dict(check.figures)),
                "cases": [example.case_id for example in check.examples[:SHOWN_EXAMPLES]],
                "waived_by": None if check.waiver is None else check.waiver.owner,
            }
            for check in verdict.checks
        ],
        "waivers": [
            {
                "check": waiver.check,
                "owner": waiver.owner,
                "reason": waiver.reason,
                "expires": waiver.expires.isoformat(),
                "run": waiver.run,
            }
            for waiver in verdict.waivers
        ],
        "warnings": len(verdict.warnings),
    }


def verdicts_of(store: Store, run_id: str) -> tuple[str, list[Mapping[str, Any]]]:
    """Give a run's whole id and its verdicts, oldest first.

    Raises:
        NotFoundError: there is no such run.
    """
    whole = str(load_manifest(store, run_id)["run_id"])
    return whole, all_verdicts(store, whole)


def all_verdicts(store: Store, run_id: str | None = None) -> list[Mapping[str, Any]]:
    """Give every verdict that is recorded, oldest first.

    Args:
        store: where they are.
        run_id: of which run, by its whole id; of all where it is not given.
    """
    spans = sorted(own_records(store, VERDICT, run_id), key=lambda span: span.start_ns)
    return [span.input for span in spans if _is_verdict(span.input)]


def _is_verdict(content: Any) -> bool:
    match content:
        case {
            "version": int(version),
            "verdict": "PASS" | "FAIL" | "INCONCLUSIVE",
            "judged": str(judged),
            "checks": list(),
        }:
            return version <= _VERSION and _is_moment(judged)
        case _:
            return False


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
