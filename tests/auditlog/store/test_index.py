"""What the index answers is what the segments say, and what is gone is gone from it."""

import contextlib
import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlog.filters.language import FIELDS
from auditlog.fold import fold
from auditlog.keeping import erase
from auditlog.keeping.compact import compact
from auditlog.keeping.prune import prune
from auditlog.record import encode_record
from auditlog.store import Store
from auditlog.store.index import schema, update
from auditlog.store.index.update import index_path

NAMES = st.sampled_from(["a", "A", "é", "É", "ß", "x y", "İ", "Σ", "a*b", "a_b", "a%b", "\x00", "same"])
TEXTS = st.lists(
    st.sampled_from(["refund", "Refunds", "re", "double charge", "É\n", '"', "order-7", "ΣΑΣ", "\\"]),
    max_size=4,
).map(" ".join)


@st.composite
def spans(draw):
    """Make the spans of some conversations, all with times of their own."""
    found = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["agent", "agent", "model", "tool", "retriever", "handoff"]))
        turn = draw(st.integers(0, 4))
        root = (
            kind == "agent"
            and draw(st.booleans())
            and not any(s["is_root"] and s["turn"] == turn for s in found)
        )
        found.append(
            {
                "number": number,
                "turn": turn,
                "is_root": root,
                "conversation": draw(st.sampled_from(["c-1", "c-2", "C-2", "d"])),
                "kind": kind,
                "name": draw(NAMES),
                "status": draw(st.sampled_from(["ok", "ok", "error", None])),
                "start": 1_790_000_000_000_000_000 + draw(st.integers(0, 3)) * 43_200_000_000_000 + number,
                "attributes": {
                    name: value
                    for name, value in {
                        "gen_ai.agent.name": draw(st.none() | NAMES),
                        "gen_ai.agent.version": draw(st.none() | NAMES),
                        "gen_ai.request.model": draw(st.none() | NAMES),
                        "gen_ai.usage.input_tokens": draw(st.none() | st.integers(0, 9)),
                        "gen_ai.usage.output_tokens": draw(
                            st.none() | st.sampled_from([3, 2**48, 2**63 - 1])
                        ),
                        "user.id": draw(st.none() | NAMES),
                        "auditlog.tag.arm": draw(st.none() | NAMES),
                        "auditlog.escalation.reason": draw(st.none() | NAMES),
                        "auditlog.replay.run_id": draw(
                            st.none() | st.none() | st.sampled_from(["r-1", "r-2"])
                        ),
                    }.items()
                    if value is not None
                },
                "input": {"question": draw(TEXTS)},
                "output": draw(st.none() | TEXTS),
                "file": draw(st.integers(0, 2)),
            }
        )
    return found


def record(store, some):
    """Write spans into a journal file of their own."""
    writer = store.writer()
    for span in some:
        turn = f"{span['turn']:016x}"
        own = turn if span["is_root"] else f"{span['number'] + 100:016x}"
        parts = {
            name: orjson.dumps(span[name])
            for name in ("attributes", "input", "output")
            if span[name] is not None
        }
        head = {
            "trace": f"{span['turn']:032x}",
            "span": own,
            "turn": turn,
            "conversation": span["conversation"],
        }
        head |= {"kind": span["kind"], "name": span["name"], "time": span["start"]}
        if span["status"] is None:
            parts.pop("output", None)
            writer.append(encode_record({"type": "start", **head}, parts))
        else:
            end = {"type": "span", "end": span["start"] + 5, "status": span["status"], "source": "import"}
            writer.append(encode_record({**head, **end}, parts))
    writer.close()


FILTERS = (
    "agent:a",
    "agent:É,same",
    "version:*a*",
    "model:x*",
    "-model:a",
    "user:same",
    "tool:a",
    "tool:a*b",
    r"tool:a\*b",
    "kind:handoff",
    "why:error",
    "-why:lossy",
    "why:incomplete",
    "status:incomplete",
    "escalated:no",
    "tag.arm:É",
    "tag:arm",
    "conversation:c-2",
    "conversation:c*",
    "tokens>3",
    "turns>1 tools<2",
    "duration>=0",
    "text:refund",
    "text:'double charge'",
    "text:'le charge ref'",
    "text:'charge \" refund'",
    r"text:'refund \\ order'",
    "text:'charge*order-7'",
    "text:'charge É\n order'",
    "-text:re",
    "text:'σας'",
    "text:order-7 agent:a",
)


def answers(store):
    """Ask all that a list can be asked."""

    def plain(summary):
        return {name: getattr(summary, name) for name in summary.__slots__} | {"tags": dict(summary.tags)}

    since = datetime.fromtimestamp(1_790_040_000, UTC)
    return {
        "every": [plain(s) for s in store.summaries()],
        "page": [s.conversation_id for s in store.summaries(limit=2, offset=1)],
        "since": [s.conversation_id for s in store.summaries(since=since)],
        "count": store.count(until=since),
        "histogram": sorted(store.histogram(cells=3)[2]) if store.count() else None,
        "ranks": [store.rank(s.conversation_id) for s in store.summaries()],
        "filters": {text: [s.conversation_id for s in store.summaries(text)] for text in FILTERS},
        "whole": {name: store.conversation(name) for name in store.ids()},
        "runs": [(c.conversation_id, len(c.spans)) for c in store.conversations(run="r-1")],
        "beginning": store._lists.starting_with("c", 9),
    }


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(spans())
def test_with_the_index_and_without_the_answers_are_the_same(some):
    """Lists, counts, filters and conversations are the same with the indexes and without, sealed in several files and live."""
    with tempfile.TemporaryDirectory() as place, Store.create(Path(place) / "audit") as store:
        for file in (0, 1):
            record(store, [span for span in some if span["file"] == file])
            store.seal()
        store.update_index(text=True)
        record(store, [span for span in some if span["file"] == 2])
        store.refresh()
        indexed = answers(store)
        assert not store.segments() or store._lists.index is not None
        store._lists.close()
        store._lists._open = store._lists._opened = lambda: None
        store.search.is_used = False
        store.search.forget()
        assert answers(store) == indexed


def test_a_list_is_read_from_the_index_alone(store, script, monkeypatch):
    """Listing, counting and finding an id of what is sealed ask no query of the engine."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    with Store.open(store.path) as opened:
        monkeypatch.setattr(
            opened._reader, "table", lambda *_args, **_kwargs: pytest.fail("the engine was asked")
        )
        assert ["case-1"] == [
            s.conversation_id for s in opened.summaries("agent:support* status:ok", limit=5)
        ]
        assert 1 == opened.count("tool:*")
        assert "case-1" == opened.conversation("cas").conversation_id


def test_folding_is_the_databases_own():
    """Each character is folded as the database folds it."""
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    found = duckdb.execute("SELECT c, lower(c) FROM (SELECT unnest(?) AS c)", [every]).fetchall()
    assert [] == [character for character, lower in found if fold(character) != lower]


def break_bytes(path):
    data = bytearray(path.read_bytes())
    data[100:4000] = b"\xff" * 3900
    path.write_bytes(data)


def make_foreign(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE facts_about SET value = 'another' WHERE key = 'store'")
        database.commit()


def plant_view(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE said")
        database.execute("CREATE VIEW said AS SELECT load_extension('/tmp/x.so') AS name, 1 AS conversation")
        database.commit()


def make_symlink(path):
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


@pytest.mark.parametrize(
    "harm", [break_bytes, make_foreign, plant_view, make_symlink, lambda path: path.write_bytes(b"")]
)
def test_an_index_that_is_none_of_ours_is_made_anew(store, script, harm):
    """A damaged, foreign, tampered or linked index is replaced, and answers are those of the segments."""
    for number in range(3):
        script.turn(f"case-{number}")
    script.writer.close()
    store.seal()
    path = index_path(store.layout)
    harm(path)
    with Store.open(store.path) as opened:
        assert 3 == opened.count()
        assert 3 == len(opened.summaries("tool:*"))
    with Store.open(store.path) as opened:
        assert opened._lists.index is not None
    assert path.is_file()
    assert not path.is_symlink()


def test_a_damaged_segment_stays_out_of_the_index(store, script):
    """A segment whose bytes are not those that the ledger lists is never indexed."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    store.remove_index()
    path = store.path / store.segments()[0].path
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert not store.update_index()
    with pytest.raises(schema.UnusableError, match="other segments"):
        store._lists._open()


def test_a_segment_that_goes_while_it_is_indexed_is_looked_for_again(store, script, script_for, monkeypatch):
    """A compaction between listing a segment and reading it disturbs whoever indexes as little as any reader."""
    for number in range(2):
        script_for(writer := store.writer()).turn(f"case-{number}")
        writer.close()
        store.seal()
    store.remove_index()
    real = update._Update._is_sound

    def compacted_meanwhile(self, segment):
        monkeypatch.setattr(update._Update, "_is_sound", real)
        sound = real(self, segment)
        monkeypatch.setattr(Store, "update_index", lambda *_, **__: True)
        with Store.open(store.path) as other:
            compact(other, grace=0)
        return sound

    monkeypatch.setattr(update._Update, "_is_sound", compacted_meanwhile)
    assert update.update(store.layout, store.id)
    with Store.open(store.path) as opened:
        assert (2, True) == (opened.count(), opened._lists.index is not None)


def test_what_is_erased_or_pruned_is_gone_from_the_index(store, script):
    """No byte of a conversation that was taken away is left in what is derived."""
    script.turn("case-gone", user="where is zanzibar")
    script.turn("case-stays", user="where is my parcel")
    script.writer.close()
    store.seal()
    store.update_index(text=True)
    assert ["case-gone"] == [s.conversation_id for s in store.summaries("text:zanzibar")]
    assert 0 == store.search.unindexed
    subject = erase.subject_of(store, None, ["case-gone"])
    erase.erase(store, subject, reason="asked to")
    assert [] == [s.conversation_id for s in store.summaries("text:zanzibar")]
    left = b"".join(path.read_bytes() for path in (store.path / "cache").rglob("*") if path.is_file())
    assert b"zanzibar" not in left


@pytest.mark.slow
def test_the_index_is_right_after_each_step_of_a_stores_life(store, script_for):
    """After compacting, erasing, pruning and sealing again, lists and searches say what the segments say."""
    day_ns = 86_400 * 1_000_000_000
    began_ns = 1_795_132_800 * 1_000_000_000

    def add(day, *names):
        writer = store.writer()
        script = script_for(writer, began_ns + day * day_ns)
        for name in names:
            script.turn(name, user=f"refund of {name}", user_id=f"u-{name}")
        writer.close()
        store.seal()

    def said():
        fresh = Store.open(store.path)
        with fresh:
            assert fresh._lists.index is not None
            indexed = answers(fresh)
            fresh.count("text:refund")
            assert fresh.search.unindexed == 0
        with Store.open(store.path) as plain:
            plain._lists._open = plain._lists._opened = lambda: None
            plain.search.is_used = False
            assert answers(plain) == indexed
        return {summary["conversation_id"] for summary in indexed["every"]}

    add(0, "old", "both")
    store.update_index(text=True)
    add(1, "both", "kept", "gone")
    add(1, "late")
    assert said() == {"late", "gone", "kept", "both", "old"}
    assert compact(store).groups
    assert said() == {"late", "gone", "kept", "both", "old"}
    erase.erase(store, erase.subject_of(store, None, ["gone"]), reason="asked to")
    store.refresh()
    said()
    assert store.count("text:'refund of gone'") == 0
    prune(store, began_ns + day_ns, older_than="a day")
    store.refresh()
    said()
    assert store.count("text:'refund of old'") == 0
    add(2, "new")
    assert "new" in said()
    assert store.count("text:'refund of both'") == 1


def test_one_process_indexes_and_the_others_go_on(store, script):
    """While another process holds the lock, lists come from the segments."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    store.remove_index()
    with update._locked(store.layout, wait=False) as held, Store.open(store.path) as opened:
        assert held
        assert 1 == opened.count()
        assert opened._lists.index is None


def test_a_reader_far_behind_leaves_the_index_alone(store, script, monkeypatch):
    """A reader does not make a large index: it answers from the segments."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    store.remove_index()
    monkeypatch.setattr("auditlog.store.lists.MOST_ROWS", 2)
    with Store.open(store.path) as opened:
        assert (1, None) == (opened.count(), opened._lists.index)


def test_a_picture_is_not_mixed_with_a_later_index(store, script, script_for):
    """A store that was opened before a sealing answers of its own picture until it is refreshed."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    with Store.open(store.path) as opened:
        assert 1 == opened.count()
        again = script_for(store.writer())
        again.turn("case-2")
        again.writer.close()
        store.seal()
        assert ["case-1"] == [s.conversation_id for s in opened.summaries()]
        opened.refresh()
        assert 2 == opened.count()


def test_every_field_of_a_filter_is_asked_of_the_index():
    """The filters that are compared with and without the index name every field there is."""
    asked = " ".join(FILTERS)
    unasked = {
        name
        for name in FIELDS
        if f"{name}:" not in asked and f"{name}>" not in asked and f"{name}." not in asked
    }
    assert {"provider", "effect", "error", "doc", "prompt", "cost", "subject", "tools"} >= unasked
