"""Rows that compaction or erasure moved: still proven by the SEAL entry that first listed them, and still guarded."""

import pyarrow as pa
import pytest

from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import prove
from auditlog.keeping.compact import compact
from auditlog.store import Store


@pytest.fixture
def compacted(attacker):
    """Give the attacked store, its three files made into one."""
    with Store.open(attacker.path) as store:
        compact(store, grace=0)
    assert 1 == len(attacker.segments())
    return attacker


def test_a_proof_of_a_moved_row_goes_to_its_first_entry(compacted):
    """After compaction a record is proven by the SEAL entry under which it was sealed, as before."""
    with Store.open(compacted.path) as store:
        proof = prove(store, {"conversation": "case-2"})
    (segment,) = proof.document["segments"]
    assert ("VALID-BUT-UNANCHORED", 3) == (check_proof(proof.document).outcome, proof.spans)
    assert (2, 3) == (segment["entry"]["index"], segment["rows"])
    assert segment["path"] not in {str(path.relative_to(compacted.path)) for path in compacted.segments()}


def test_a_compacted_store_verifies_and_explains_what_is_gone(compacted):
    """Every row is found again where it is now, and each replaced file is explained by its entry."""
    report = compacted.verify(deep=True)
    assert ("VALID-BUT-UNANCHORED", [], 1, 9, {"compact": 3}) == (
        report.outcome,
        report.faults,
        report.segments,
        report.rows,
        report.gone,
    )


def dropped(table):
    """Give a table without its last row, and the one before it twice."""
    return table.take(pa.array([*range(table.num_rows - 1), table.num_rows - 2]))


def renamed(table):
    """Give a table whose rows say that they come from a file that never was."""
    index = table.schema.get_field_index("origin")
    names = pa.array(["segments/day=2026-11-23/no-1-1.parquet"] * table.num_rows)
    return table.set_column(index, "origin", names)


def shuffled(table):
    """Give a table of which two rows claim each other's places."""
    index = table.schema.get_field_index("origin_row")
    places = table.column("origin_row").to_pylist()
    places[0], places[1] = places[1], places[0]
    return table.set_column(index, "origin_row", pa.array(places, pa.int64()))


@pytest.mark.parametrize("attack", [dropped, renamed, shuffled])
def test_rows_that_were_lost_when_they_were_moved_are_found(compacted, attack):
    """A compaction that drops a row, or claims another place for one, is found, though everything is signed with the key."""
    (path,) = compacted.segments()
    says = compacted.rewrite(path, attack)
    number = len(compacted.entries()) - 1
    while b'"compact"' not in compacted.entries()[number]:
        number -= 1
    compacted.change_entry(number, lambda entry: entry["segments"][0].update(says), compacted.key())
    assert "VALID-BUT-UNANCHORED" == compacted.verify().outcome
    report = compacted.verify(deep=True)
    assert "INVALID" == report.outcome
    assert any(
        "sealed there" in told or "not those that were sealed" in told or "no SEAL entry" in told
        for _, told in report.faults
    )
