"""Makes proofs of recorded spans out of a store.

The rules:

1. A proof goes to the SEAL entry that first listed the span's row; where a compacted file holds not all of the rows that
   were sealed with it, to the entry that lists the file as it is.
2. Leaves are made again of what the files hold: a proof is never made of a hash that somebody wrote down.
3. What is not sealed, or whose entry is not signed yet, has no proof; the caller is told how many there are.
4. One row group is in memory at a time, and of the rows that are not asked for only their hashes stay.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.errors import NotFoundError, StoreError
from auditlog.integrity.proof import FORMAT, tlog_proof
from auditlog.layout import Layout, read_settings
from auditlog.ledger import keys
from auditlog.ledger.ledger import read_ledger
from auditlog.ledger.merkle import Tree
from auditlog.ledger.merkle import leaf_hash as entry_hash
from auditlog.ledger.note import Checkpoint
from auditlog.record import PARTS, leaf_hash, part_salt
from auditlog.sealing.rows import LEAF_COLUMNS, leaf_text_of
from auditlog.sealing.segment import read_tables

if TYPE_CHECKING:
    from auditlog.store import Store

SpanKey = tuple[str, str]
"""A trace id and a span id."""

_READ = (*LEAF_COLUMNS, "trace_id", "span_id", "origin", "origin_row")


@dataclass(slots=True)
class Proof:
    """A proof, and what it leaves out."""

    document: dict[str, Any]
    spans: int = 0
    unsealed: int = 0
    """Spans that are not sealed yet."""
    unsigned: int = 0
    """Spans whose ledger entry is not signed yet."""
    tlog_proofs: list[str] = field(default_factory=list)
    """The ledger's part, an entry each, as C2SP's tlog-proof has it."""


@dataclass(slots=True)
class _Tree:
    """The rows of one segment as they were sealed, and those of them that are asked for."""

    leaves: dict[int, bytes] = field(default_factory=dict)
    wanted: dict[int, dict[str, Any]] = field(default_factory=dict)


def prove(
    store: Store,
    wanted: Mapping[str, str],
    *,
    content: bool = True,
    known: Sequence[Checkpoint] = (),
) -> Proof:
    """Prove a conversation, a trace or a span.

    Args:
        store: the store.
        wanted: `conversation`, `trace` or `span`, and the id.
        content: whether to show the parts and their salts too; otherwise only that the records are there.
        known: checkpoints of which the proof is to show that the ledger begins with them.

    Raises:
        NotFoundError: nothing of that name is recorded.
        StoreError: nothing of it is sealed and signed, or a file is damaged.
    """
    columns = {"conversation": "conversation_id", "trace": "trace_id", "span": "span_id"}
    condition = " AND ".join(f"{columns[kind]} = ?" for kind in wanted)
    found = store.query(
        f"SELECT segment, trace_id, span_id FROM all_spans WHERE {condition}", list(wanted.values())
    ).to_pylist()
    if not found:
        msg = f"Nothing is recorded of {' and '.join(f'{kind} {name!r}' for kind, name in wanted.items())}."
        raise NotFoundError(msg)
    places: dict[str, set[SpanKey]] = {}
    for row in found:
        if row["segment"] is not None:
            places.setdefault(row["segment"], set()).add((row["trace_id"], row["span_id"]))
    made = prove_spans(Layout(store.path), dict(wanted), places, content=content, known=known)
    made.unsealed = sum(row["segment"] is None for row in found)
    if not made.spans:
        why = (
            "is sealed yet: `auditlog seal` seals what is finished"
            if made.unsealed
            else "has a signed entry yet: seal as the user who holds the key"
        )
        raise StoreError(f"Nothing of it {why}.")
    return made


def prove_spans(
    layout: Layout,
    of: dict[str, str],
    places: Mapping[str, Iterable[SpanKey]],
    *,
    content: bool = True,
    known: Sequence[Checkpoint] = (),
) -> Proof:
    """Prove spans by the segments that they are in.

    Args:
        layout: the store.
        of: what they are, as the document says it.
        places: the spans by the path of their segment.
        content: whether to show the parts and their salts too.
        known: checkpoints of which the proof is to show that the ledger begins with them, besides those that were anchored.

    Raises:
        StoreError: a file is damaged, or the ledger has no signature.
    """
    head, settings = keys.read_checkpoint(layout), read_settings(layout)
    if head is None or settings.public_key is None:
        raise StoreError(
            f"The ledger of {layout.root} is not signed, and a proof needs that. Seal as who holds the key."
        )
    ledger = read_ledger(layout.entries)
    payloads, listing = _listing(ledger.payloads())
    tree = Tree([entry_hash(payload) for payload in payloads])
    sizes = {checkpoint.size for checkpoint in known} | _anchored(payloads)
    if tree.root(min(head.size, len(tree))) != head.root:
        raise StoreError(f"{layout.entries} is not what its checkpoint signs. `auditlog verify` says more.")
    proof = Proof({})
    segments = []
    for path, index, rows in _trees(layout, places, listing):
        if index >= head.size:
            proof.unsigned += len(rows.wanted)
            continue
        proof.tlog_proofs.append(
            tlog_proof(index, tree.inclusion(index, head.size), head.note(), payloads[index])
        )
        segments.append(_segment(path, index, payloads[index], rows, tree, head, content=content))
        proof.spans += len(rows.wanted)
    proof.document = {
        "format": FORMAT,
        "of": of,
        "key": settings.public_key,
        "checkpoint": head.note(),
        "begins_with": [
            {"size": size, "proof": _hex(tree.consistency(size, head.size))}
            for size in sorted(sizes)
            if size < head.size
        ],
        "segments": segments,
    }
    return proof


def _anchored(payloads: Iterable[bytes]) -> set[int]:
    """Give the sizes at which checkpoints went outside."""
    entries = (orjson.loads(payload) for payload in payloads if b'"anchor"' in payload)
    return {int(entry["size"]) for entry in entries if entry["type"] == "anchor"}


def _listing(payloads: Iterable[bytes]) -> tuple[list[bytes], dict[str, tuple[int, int]]]:
    """Give the entries, and for each segment's path the entry that listed it and its rows."""
    kept, listing = [], {}
    for index, payload in enumerate(payloads):
        kept.append(payload)
        for segment in orjson.loads(payload).get("segments", ()):
            listing[segment["path"]] = (index, segment["rows"])
    return kept, listing


def _trees(
    layout: Layout, places: Mapping[str, Iterable[SpanKey]], listing: Mapping[str, tuple[int, int]]
) -> list[tuple[str, int, _Tree]]:
    """Give the segments to which the spans are proven, each with its entry's index and its rows."""
    found: list[tuple[str, int, _Tree]] = []
    for path, spans in places.items():
        held, first_hand = _read(layout, path, set(spans))
        for origin, rows in first_hand.items():
            index, count = listing.get(origin, (0, -1))
            if sorted(rows.leaves) == list(range(count)):
                found.append((origin, index, rows))
                for place in [at for at, row in held.wanted.items() if row["origin"] == origin]:
                    del held.wanted[place]
        if held.wanted:
            found.append((path, listing[path][0], held))
    return sorted((one for one in found if one[2].wanted), key=lambda one: one[1])


def _read(layout: Layout, path: str, spans: set[SpanKey]) -> tuple[_Tree, dict[str, _Tree]]:
    """Read a live file; give its rows as they lie there, and as they lay in the files where they were first sealed."""
    held, first_hand, at = _Tree(), {}, 0
    for table in read_tables(layout.root / path, _READ):
        for row in table.to_pylist():
            row["text"] = leaf_text_of(row)
            leaf = leaf_hash(row["text"])
            held.leaves[at] = leaf
            wanted = (row["trace_id"], row["span_id"]) in spans
            if wanted:
                held.wanted[at] = row
            if row["origin"] is not None:
                tree = first_hand.setdefault(row["origin"], _Tree())
                tree.leaves[row["origin_row"]] = leaf
                if wanted:
                    tree.wanted[row["origin_row"]] = row
            at += 1
    return held, first_hand


def _segment(
    path: str, index: int, payload: bytes, rows: _Tree, tree: Tree, head: Checkpoint, *, content: bool
) -> dict[str, Any]:
    own = Tree([rows.leaves[place] for place in range(len(rows.leaves))])
    return {
        "path": path,
        "root": own.root().hex(),
        "rows": len(own),
        "entry": {
            "index": index,
            "text": payload.decode(),
            "proof": _hex(tree.inclusion(index, head.size)),
        },
        "spans": [
            {
                "row": place,
                "text": row["text"].decode(),
                "proof": _hex(own.inclusion(place)),
                **({"parts": _parts(row)} if content else {}),
            }
            for place, row in sorted(rows.wanted.items())
        ],
    }


def _parts(row: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Give a row's parts with the salts that prove them; none where they were erased."""
    if row["salt"] is None:
        return {}
    found = {}
    for name in PARTS:
        data = row[name]
        if data is None:
            continue
        told = {"salt": part_salt(row["salt"], name).hex()}
        try:
            told["text"] = data.decode()
        except UnicodeDecodeError:
            told["base64"] = base64.b64encode(data).decode()
        found[name] = told
    return found


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [step.hex() for step in hashes]
