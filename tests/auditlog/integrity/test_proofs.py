"""Proofs that need no store: made, checked, and tampered with."""

import base64
import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.errors import FormatError, NotFoundError, StoreError
from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import prove
from auditlog.ledger.merkle import leaf_hash, root_of_inclusion
from auditlog.ledger.note import parse_checkpoint
from auditlog.store import Store


@pytest.fixture(scope="module")
def proof(built):
    """Give the proof of one conversation."""
    with Store.open(built.path) as store:
        return prove(store, {"conversation": "case-1"})


def test_a_proof_shows_a_conversation_without_the_store(proof, built):
    """Every span and every part of the conversation is proven; with a known checkpoint somebody outside has seen it."""
    document = json.loads(json.dumps(proof.document))
    report = check_proof(document)
    assert ("VALID-BUT-UNANCHORED", [], 3) == (report.outcome, report.faults, report.spans)
    assert report.parts > 5
    assert "question 1" in json.dumps(document)
    report = check_proof(document, known=[built.checkpoint()], key=built.key().key)
    assert ("VALID", []) == (report.outcome, report.notes)


def test_a_span_is_proven_alone(built):
    """A span's proof holds that span, and of its conversation nothing else."""
    with Store.open(built.path) as store:
        (span,) = store.spans("conversation_id = 'case-1' AND kind = 'tool'")
        made = prove(store, {"trace": span.trace_id, "span": span.span_id})
    assert (1, 1) == (made.spans, check_proof(made.document).spans)


def test_a_proof_without_content_shows_none(built):
    """Records are proven without showing a word of them, or a salt with which one could be guessed."""
    with Store.open(built.path) as store:
        document = prove(store, {"conversation": "case-1"}, content=False).document
    assert "question 1" not in json.dumps(document)
    assert "salt" not in json.dumps(document)
    report = check_proof(document)
    assert (3, 0, []) == (report.spans, report.parts, report.faults)


def test_a_proof_goes_with_an_older_checkpoint(attacker, built):
    """A proof made for somebody who has seen less shows that the ledger begins with what he has seen."""
    older = built.checkpoint()
    attacker.change_entry(3, lambda entry: entry, attacker.key())
    with Store.open(attacker.path) as store:
        store.seal()
        from auditlog.ledger.ledger import append_entry

        append_entry(store.layout, {"type": "access", "who": "u"})
        without = prove(store, {"conversation": "case-1"}).document
        made = prove(store, {"conversation": "case-1"}, known=[older]).document
    report = check_proof(without, known=[older])
    assert "VALID-BUT-UNANCHORED" == report.outcome
    assert "let it be made with --known-checkpoint" in report.notes[0]
    assert "VALID" == check_proof(made, known=[older]).outcome
    forged = type(older)(older.origin, older.size, bytes(32)).signed(attacker.key())
    assert "DIVERGED" == check_proof(made, known=[forged]).outcome


def test_the_ledgers_part_is_a_tlog_proof(proof):
    """The entry in `extra`, hashed up the path, comes to the root of the checkpoint that stands behind it."""
    (text,) = proof.tlog_proofs
    head, _, note = text.partition("\n\n")
    first, extra, index, *steps = head.split("\n")
    assert ("c2sp.org/tlog-proof@v1", "extra ", "index 1") == (first, extra[:6], index)
    entry = base64.b64decode(extra[6:])
    checkpoint = parse_checkpoint(note)
    root = root_of_inclusion(leaf_hash(entry), 1, checkpoint.size, [base64.b64decode(s) for s in steps])
    assert checkpoint.root == root
    assert "seal" == json.loads(entry)["type"]


def changed(document, path, change):
    """Change one thing in a copy of a document."""
    other = copy.deepcopy(document)
    holder = other
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = change(holder[path[-1]])
    return other


SPAN = ("segments", 0, "spans", 1)
TAMPERED = {
    "a word of the content": ((*SPAN, "parts", "input_messages", "text"), lambda t: t.replace("1", "2")),
    "a salt": ((*SPAN, "parts", "input_messages", "salt"), lambda salt: salt[:-2] + "00"),
    "a leaf": ((*SPAN, "text"), lambda text: text.replace('"status":"ok"', '"status":"error"')),
    "a row": ((*SPAN, "row"), lambda row: row + 1),
    "a step": ((*SPAN, "proof", 0), lambda step: "00" + step[2:]),
    "a step too few": ((*SPAN, "proof"), lambda steps: steps[1:]),
    "the segment": (("segments", 0, "path"), lambda path: path + "x"),
    "the entry": (("segments", 0, "entry", "text"), lambda text: text.replace("seal", "deal")),
    "the index": (("segments", 0, "entry", "index"), lambda index: index + 1),
    "the conversation": (("of", "conversation"), lambda _: "case-2"),
    "the checkpoint": (("checkpoint",), lambda note: note.replace("\n4\n", "\n5\n")),
    "the spans": (("segments", 0, "spans"), lambda _: []),
    "a span, said twice": (("segments", 0, "spans"), lambda spans: [*spans, spans[0]]),
    "a segment, said twice": (("segments",), lambda segments: [*segments, *segments]),
    "the segment's root": (("segments", 0, "root"), lambda root: root[::-1]),
    "the segment's rows": (("segments", 0, "rows"), lambda rows: rows + 1),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_proof_proves_nothing(proof, what):
    """Whatever is changed in a proof, it is INVALID."""
    path, change = TAMPERED[what]
    assert "INVALID" == check_proof(changed(proof.document, path, change)).outcome


@pytest.mark.parametrize("of", [{}, {"customer": "Anna"}, {"conversation": "case-1", "customer": "Anna"}])
def test_a_proof_says_what_it_is_of_in_words_that_are_checked(proof, of):
    """What would be printed beside VALID without having been compared makes a document no proof."""
    with pytest.raises(FormatError, match="of which conversation"):
        check_proof({**proof.document, "of": of})


def test_a_proof_by_another_key_is_refused(proof, attacker):
    """A stranger who brings the right key does not believe the document's own."""
    signer = attacker.own_key()
    head = parse_checkpoint(proof.document["checkpoint"]).signed(signer)
    document = proof.document | {"key": str(signer.key), "checkpoint": head.note()}
    assert "VALID-BUT-UNANCHORED" == check_proof(document).outcome
    from auditlog.ledger.note import VerifierKey

    right = VerifierKey.parse(proof.document["key"])
    assert "INVALID" == check_proof(document, key=right).outcome


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.data())
def test_any_document_is_a_proof_or_an_error(proof, data):
    """Whatever stands in a document, checking it raises nothing but FormatError, and proves nothing that is not so."""
    document = copy.deepcopy(proof.document)
    holder, path = document, []
    while isinstance(holder, dict | list) and holder and len(path) < data.draw(st.integers(1, 7)):
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        step = data.draw(st.sampled_from(list(keys)))
        path.append((holder, step))
        holder = holder[step]
    parent, step = path[-1]
    before, parent[step] = parent[step], data.draw(JSON)
    try:
        report = check_proof(document)
    except FormatError:
        return
    free = step in ("root", "rows", "parts", "of", "begins_with") or before == parent[step]
    assert free or "INVALID" == report.outcome or any(s in ("parts", "of", "begins_with") for _, s in path)


def test_what_is_not_sealed_or_not_there_has_no_proof(store, script):
    """A conversation that is still in the journal, and one that nobody recorded, are told apart."""
    script.turn("case-2")
    store.refresh()
    with pytest.raises(StoreError, match="is not signed"):
        prove(store, {"conversation": "case-2"})
    script.writer.close()
    store.seal()
    script.turn("case-1")
    store.refresh()
    with pytest.raises(StoreError, match="Nothing of it is sealed yet"):
        prove(store, {"conversation": "case-1"})
    with pytest.raises(NotFoundError, match="Nothing is recorded"):
        prove(store, {"conversation": "case-3"})
    assert 3 == prove(store, {"conversation": "case-2"}).spans
