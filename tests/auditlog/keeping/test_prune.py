"""Pruning and holds: what is old goes by conversation, what is held stays, and the ledger explains both."""

import pytest

from auditlog.errors import NotFoundError, StoreError
from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import prove
from auditlog.integrity.verify import verify
from auditlog.keeping import compact, rewrite
from auditlog.keeping.holds import held, holds, place, release
from auditlog.keeping.prune import plan, prune
from auditlog.ledger.ledger import read_ledger
from auditlog.ledger.pruned import pruned

DAY_NS = 86_400 * 1_000_000_000
FIRST_NS = 1_795_132_800 * 1_000_000_000


@pytest.fixture
def days(store, script_for):
    """Give a sealed store of three days: a conversation each, one over the first two, and a young replay of the first."""
    traces = []
    for day in range(3):
        writer = store.writer()
        script = script_for(writer, FIRST_NS + day * DAY_NS + DAY_NS // 2)
        script.turn(f"day-{day}", user=f"words of day {day}", user_id=f"u-{day}")
        traces.append(script.trace)
        if day < 2:
            script.turn("both", user=f"over days {day}")
        if day == 2:
            lineage = {"auditlog.replay.run_id": "run-1", "auditlog.replay.arm": "candidate"}
            source = {"auditlog.replay.source_trace_id": traces[0]}
            script.turn("run-1/x", user="replayed words", attributes={**lineage, **source})
        writer.close()
        store.seal()
    return store


def conversations(store):
    """Give the conversations that have content, and those that have none."""
    found = store.query(
        "SELECT conversation_id AS id, bool_and(commitments IS NOT NULL) AS gone FROM all_spans GROUP BY ALL ORDER BY id"
    ).to_pylist()
    return [r["id"] for r in found if not r["gone"]], [r["id"] for r in found if r["gone"]]


def everything(path):
    """Give every byte of the sealed files."""
    return b"".join(p.read_bytes() for p in (path / "segments").rglob("*.parquet"))


def prune_to(store, day, **more):
    """Prune what ended before a day of the fixture."""
    return prune(store, FIRST_NS + day * DAY_NS, older_than=f"day {day}", **more)


def test_a_conversation_goes_when_its_last_span_is_old(days):
    """One that goes on later stays whole; the file that holds it too loses only the content of what goes."""
    done = prune_to(days, 1)
    assert (done.conversations, done.replays) == ({"day-0", "run-1/x"}, 1)
    assert conversations(days) == (["both", "day-1", "day-2"], ["day-0", "run-1/x"])
    assert [s.path for s in done.removed] == []
    assert days.conversation("both").turns[0].user_text == "over days 0"


def test_a_file_of_which_every_row_is_old_goes_whole(days):
    """When the last conversation of a file is old, the file goes, and what was left of earlier pruning in it."""
    prune_to(days, 1)
    done = prune_to(days, 2)
    assert len(done.removed) == 2
    assert conversations(days) == (["day-2"], ["run-1/x"])
    assert len(list(days.path.glob("segments/*/*"))) == 1


def test_what_is_pruned_is_in_no_file(days):
    """Neither the content nor a cache of it is left anywhere in the store."""
    days.summaries()
    prune_to(days, 2)
    left = b"".join(p.read_bytes() for p in days.path.rglob("*") if p.is_file())
    assert b"words of day 0" not in left
    assert b"replayed words" not in left


def test_the_store_verifies_and_what_is_left_proves(days):
    """Pruning leaves a store that verifies row by row, and proofs of what is left, old and new, check."""
    before = prove(days, {"conversation": "both"}).document
    prune_to(days, 1)
    assert verify(days.layout, deep=True, jobs=1).faults == []
    assert check_proof(prove(days, {"conversation": "both"}).document).faults == []
    prune_to(days, 2)
    assert verify(days.layout, deep=True, jobs=1).faults == []
    assert check_proof(before).faults == []


def test_the_ledger_says_of_an_id_that_it_was_pruned(days):
    """Asking for a pruned conversation says when it was pruned and by what; for one that never was, it does not."""
    prune_to(days, 2, reason="policy 4")
    with pytest.raises(NotFoundError, match=r"'both' was pruned on .*older than day 2 \(policy 4\)"):
        days.conversation("both")
    assert pruned(days.layout, "day-2") is None
    with pytest.raises(NotFoundError, match="The nearest is 'day-2'"):
        days.conversation("day-22")
    entry = read_ledger(days.layout.entries).entries[-1]
    assert (entry["type"], entry["rows"], len(entry["removes"])) == ("prune", 12 + 3, 2)
    assert all(len(told["root"]) == 64 for told in entry["removes"])


def test_pruning_again_changes_nothing(days):
    """With nothing old left, no entry is written."""
    prune_to(days, 1)
    before = read_ledger(days.layout.entries).count
    assert not prune_to(days, 1).anything
    assert read_ledger(days.layout.entries).count == before


def test_a_plan_changes_nothing(days):
    """What would be pruned is said without taking anything away."""
    before = everything(days.path)
    found = plan(days, FIRST_NS + 2 * DAY_NS)
    assert (len(found.removed), len(found.rewritten), found.rows) == (2, 1, 15)
    assert everything(days.path) == before


@pytest.mark.parametrize("against", ["all", "pruning"])
def test_a_hold_wins_and_its_neighbours_still_go(against, days):
    """A held conversation stays whole in its file, and what lies beside it there loses its content."""
    place(days, conversation="both", where=None, reason="case 7", against=against)
    done = prune_to(days, 2)
    assert done.held == 1
    assert conversations(days) == (["both", "day-2"], ["day-0", "day-1", "run-1/x"])
    release(days, conversation="both", where=None, reason="settled")
    assert len(prune_to(days, 2).removed) == 2


def test_a_hold_by_filter_also_holds_what_comes_later(days, script_for):
    """What matches when something is about to go is held, whenever it was recorded."""
    hold = place(days, conversation=None, where="user:u-0", reason="case 8")
    writer = days.writer()
    script_for(writer, FIRST_NS).turn("later", user_id="u-0")
    writer.close()
    days.seal()
    assert held(days, [hold]).keys() == {"day-0", "later"}
    assert prune_to(days, 2).conversations == {"both", "day-1"}


def test_holds_are_listed_until_they_are_released(days):
    """A hold says who, when and why; a release that fits none says what is held."""
    place(days, conversation="day-1", where=None, reason="case 7")
    (found,) = holds(read_ledger(days.layout.entries))
    assert (found.conversation, found.reason, bool(found.who)) == ("day-1", "case 7", True)
    with pytest.raises(NotFoundError, match="Held is day-1"):
        release(days, conversation="day-2", where=None, reason="x")
    with pytest.raises(NotFoundError, match="no conversation"):
        place(days, conversation="nobody", where=None, reason="x")
    release(days, conversation="day-1", where=None, reason="settled")
    assert holds(read_ledger(days.layout.entries)) == []


def test_compacted_files_are_pruned_as_well(days):
    """Pruning a compacted store leaves the same as pruning one that is not, and compacting what is left still proves."""
    compact.compact(days, grace=0)
    prune_to(days, 1)
    compact.compact(days, grace=0)
    assert conversations(days) == (["both", "day-1", "day-2"], ["day-0", "run-1/x"])
    assert verify(days.layout, deep=True, jobs=1).faults == []


@pytest.mark.parametrize("step", ["ids", "entry", "file"])
def test_a_prune_that_cannot_be_written_leaves_everything_as_it_was(days, monkeypatch, step):
    """On a disk that fills up nothing is pruned, nothing half made stays, and pruning again does it."""
    place(days, conversation="both", where=None, reason="complaint")
    before = {path for path in days.path.rglob("*") if path.is_file() and "cache" not in path.parts}
    ledger = read_ledger(days.layout.entries)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "ids":
            patch.setattr("auditlog.ledger.pruned.os.fsync", full)
        elif step == "entry":
            patch.setattr("auditlog.ledger.keys.write_checkpoint", full)
        else:
            real, made = rewrite.write_tables, []

            def second(*arguments):
                if made:
                    raise StoreError("No space left on device")
                made.append(1)
                return real(*arguments)

            patch.setattr(rewrite, "write_tables", second)
        with pytest.raises(StoreError, match="No space left"):
            prune_to(days, 3)
    after = {path for path in days.path.rglob("*") if path.is_file() and "cache" not in path.parts}
    assert set() == {path for path in after - before if path.suffix != ".ids"}
    assert (ledger, set()) == (read_ledger(days.layout.entries), before - after)
    assert prune_to(days, 3).conversations
    assert "VALID-BUT-UNANCHORED" == verify(days.layout, deep=True).outcome
