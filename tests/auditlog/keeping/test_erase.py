"""Erasing one customer: content, salts and derived replays go, and everything else still proves."""

import orjson
import pytest

from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import prove
from auditlog.integrity.verify import verify
from auditlog.keeping import compact
from auditlog.keeping.erase import HeldError, erase, subject_of
from auditlog.keeping.holds import place, release
from auditlog.ledger.ledger import read_ledger
from auditlog.sealing.segment import read_segment
from auditlog.store import Store

SECRET = "ada@example.org"


@pytest.fixture
def shop(store, script_for):
    """Give a sealed store: two conversations of Ada's, one of Bob's, one of Cyd's that mentions Ada, and two replays."""
    writer = store.writer()
    script = script_for(writer)
    script.turn("ada-1", user=f"I am {SECRET}, where is it?", user_id="u-ada")
    trace = script.trace
    script.turn("ada-2", user="Ada again", user_id="u-ada")
    script.turn("bob-1", user="Where is mine?", user_id="u-bob")
    script.turn("cyd-1", user=f"My friend\n{SECRET.upper()} told me", user_id="u-cyd", tools=())
    script.turn("cyd-1", user="Thank you", user_id="u-cyd", tools=())
    lineage = {"auditlog.replay.run_id": "run-1", "auditlog.replay.arm": "candidate"}
    script.turn(
        "run-1/a", attributes={**lineage, "auditlog.replay.source_trace_id": trace}, user="replayed secret"
    )
    again = {**lineage, "auditlog.replay.source_trace_id": script.trace}
    script.turn("run-2/a", attributes=again, user="replayed twice secret")
    writer.close()
    store.seal()
    return store


def everything(path):
    """Give every byte of a store's files."""
    return b"".join(p.read_bytes() for p in path.rglob("*") if p.is_file())


def content(store):
    """Give the plain content of every sealed row, joined."""
    return b"".join(
        value
        for segment in store.segments()
        for row in read_segment(store.path / segment.path).to_pylist()
        for value in row.values()
        if isinstance(value, bytes)
    ).lower()


def erased_in(store):
    """Give the conversations with a span whose content is gone, and how many such spans each has."""
    found = store.query(
        "SELECT conversation_id AS id, count(*) AS n FROM all_spans WHERE commitments IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    return {row["id"]: row["n"] for row in found.to_pylist()}


def test_a_customers_content_goes_and_everything_else_stays(shop):
    """All of the customer's spans and of the replays made of them lose their content; other people's stay as they were."""
    before = shop.conversation("bob-1")
    done = erase(shop, subject_of(shop, "u-ada", ()))
    assert {"ada-1": 3, "ada-2": 3, "run-1/a": 3, "run-2/a": 3} == erased_in(shop)
    assert (done.found.conversations, done.found.replays) == ({"ada-1", "ada-2"}, {"run-1/a", "run-2/a"})
    assert before.turns[0].user_text == shop.conversation("bob-1").turns[0].user_text == "Where is mine?"
    assert b"ada again" not in content(shop)
    assert b"replayed" not in content(shop)
    found = shop.conversation("ada-1")
    assert all(span.erased and span.input is None and span.user_id is None for span in found.spans)
    assert [span.name for span in found.spans] == ["support-bot", "chat", "look_up_order"]


def test_an_address_that_others_mention_goes_from_their_spans_only(shop):
    """By an address, rows that mention it lose their content, in any case of letters, and the rest of the conversation stays."""
    done = erase(shop, subject_of(shop, SECRET, ()))
    assert done.found.conversations == set()
    assert erased_in(shop) == {"ada-1": 2, "cyd-1": 2}
    assert SECRET.encode() not in content(shop)
    assert shop.conversation("cyd-1").turns[1].user_text == "Thank you"


def test_the_store_verifies_and_every_other_record_still_proves(shop):
    """After erasing, the store is as sound as before, and a proof of each conversation, erased or not, checks."""
    erase(shop, subject_of(shop, "u-ada", ()))
    assert verify(shop.layout, deep=True, jobs=1).faults == []
    for name, parts in (("bob-1", True), ("cyd-1", True), ("ada-1", False), ("run-2/a", False)):
        proof = prove(shop, {"conversation": name})
        report = check_proof(orjson.loads(orjson.dumps(proof.document)))
        assert report.faults == []
        assert (report.spans > 0, report.parts > 0) == (True, parts)


def test_the_proofs_that_were_given_out_before_still_check(shop):
    """A proof made before an erasure checks afterwards by itself, and goes to the root that is still in the ledger."""
    before = prove(shop, {"conversation": "ada-1"}).document
    erase(shop, subject_of(shop, "u-ada", ()))
    assert check_proof(before).faults == []
    after = prove(shop, {"conversation": "ada-1"}).document
    assert [s["root"] for s in before["segments"]] == [s["root"] for s in after["segments"]]
    texts = [[span["text"] for span in s["spans"]] for d in (before, after) for s in d["segments"]]
    assert texts[0] == texts[1]


def test_erasing_again_changes_nothing(shop):
    """A second erasure of the same customer finds nothing and writes no entry."""
    erase(shop, subject_of(shop, "u-ada", ()))
    before = read_ledger(shop.layout.entries).count
    assert not erase(shop, subject_of(shop, "u-ada", ())).anything
    assert read_ledger(shop.layout.entries).count == before


def test_nothing_of_the_customer_is_left_in_any_file(shop):
    """No file of the store holds the address, not the ledger and not a cache, and the old segment is gone."""
    shop.summaries()
    old = shop.segments()[0].path
    erase(shop, subject_of(shop, SECRET, ()), reason="request 12")
    assert not (shop.path / old).exists()
    assert SECRET.encode() not in everything(shop.path).lower()
    entry = read_ledger(shop.layout.entries).entries[-1]
    assert (entry["type"], entry["rows"], entry["reason"]) == ("erase", 4, "request 12")


def test_journals_are_sealed_first_and_what_cannot_be_is_counted(shop, script_for):
    """What a process still writes is counted, so that nobody takes the erasure for complete."""
    writer = shop.writer()
    script_for(writer).turn("ada-3", user_id="u-ada", user="still here")
    done = erase(shop, subject_of(shop, "u-ada", ()))
    assert done.live_rows == 3
    writer.close()
    done = erase(shop, subject_of(shop, "u-ada", ()))
    assert (done.live_rows, done.rows) == (0, 3)
    assert b"still here" not in everything(shop.path)


def test_one_conversation_can_be_erased_by_its_id(shop):
    """By a conversation's id, it goes whole, with the replays made of it; the entry has no id in plain."""
    erase(shop, subject_of(shop, None, ["ada-1"]))
    assert erased_in(shop) == {"ada-1": 3, "run-1/a": 3, "run-2/a": 3}
    entry = read_ledger(shop.layout.entries).entries[-1]
    assert "ada-1" not in orjson.dumps(entry).decode()


def test_damaged_leftovers_that_hold_the_customer_go_too(shop):
    """A file kept because of damage is removed where it holds the customer, and stays where it does not."""
    journal = shop.path / "journal"
    (journal / "1-1-1.damaged").write_bytes(b"\0\1" + SECRET.encode())
    (journal / "2-2-2.damaged").write_bytes(b"\0\1 something else")
    assert erase(shop, subject_of(shop, SECRET, ())).leftovers == [journal / "1-1-1.damaged"]
    assert [p.name for p in journal.glob("*.damaged")] == ["2-2-2.damaged"]


@pytest.mark.parametrize("spelling", ['ÄNNE "Q" Öhm', 'änne \\"q\\" öhm', '\\u00e4nne \\"Q\\" \\u00f6hm'])
def test_a_leftover_holds_the_customer_in_any_case_and_as_json_escapes_it(shop, spelling):
    """A damaged file is looked through as recorded content is: capitals and escapes make no difference."""
    left = shop.path / "journal" / "1-1-1.damaged"
    left.write_bytes(b"\xff\x00" + spelling.encode() + b"\xfe")
    assert erase(shop, subject_of(shop, 'Änne "Q" Öhm', ())).leftovers == [left]


def test_a_held_conversation_is_not_erased_unless_somebody_says_so(shop):
    """A hold refuses the whole erasure; releasing it, or overriding it, lets it go on, and the ledger says so."""
    place(shop, conversation="ada-2", where=None, reason="case 7")
    with pytest.raises(HeldError, match="case 7"):
        erase(shop, subject_of(shop, "u-ada", ()))
    assert erased_in(shop) == {}
    erase(shop, subject_of(shop, None, ["ada-1"]))
    release(shop, conversation="ada-2", where=None, reason="settled")
    place(shop, conversation=None, where="user:u-ada", reason="case 8")
    erase(shop, subject_of(shop, "u-ada", ()), override_holds=True, reason="the court says so")
    entry = read_ledger(shop.layout.entries).entries[-1]
    assert (entry["type"], len(entry["overrides"])) == ("erase", 1)
    assert erased_in(shop)["ada-2"] == 3


def test_a_hold_against_pruning_gives_way_to_an_erasure(shop):
    """What is only kept to be used again is erased like anything else; a hold against everything beside it still refuses."""
    place(shop, conversation="ada-2", where=None, reason="regression set", against="pruning")
    place(shop, conversation="ada-2", where=None, reason="case 7")
    with pytest.raises(HeldError, match="case 7"):
        erase(shop, subject_of(shop, "u-ada", ()))
    assert "all" == release(shop, conversation="ada-2", where=None, reason="settled").against
    erase(shop, subject_of(shop, "u-ada", ()))
    assert 3 == erased_in(shop)["ada-2"]
    assert (
        "pruning" == release(shop, conversation="ada-2", where=None, reason="gone", against="pruning").against
    )


def test_erasing_reaches_compacted_files_and_their_predecessors(shop, script_for):
    """A compacted file is written anew, old files that wait for readers go at once, and the origins still make their roots."""
    writer = shop.writer()
    script_for(writer).turn("bob-2", user_id="u-bob")
    writer.close()
    shop.seal()
    compact.compact(shop, grace=1000)
    erase(shop, subject_of(shop, SECRET, ()))
    assert len(list(shop.path.glob("segments/*/*"))) == 1
    assert SECRET.encode() not in everything(shop.path).lower()
    assert verify(shop.layout, deep=True, jobs=1).faults == []
    compact.compact(shop, grace=0)
    assert check_proof(prove(shop, {"conversation": "ada-1"}).document).faults == []


def test_a_short_value_names_a_user_and_nothing_else(shop):
    """A value of a few letters is no reason to take away whatever holds those letters."""
    done = erase(shop, subject_of(shop, "ship", ()))
    assert not done.anything


def test_a_reader_that_was_open_sees_the_erasure(shop):
    """A reader from before the erasure gives no content that is gone, and does not fail."""
    with Store.open(shop.path) as reader:
        assert SECRET in reader.conversation("ada-1").turns[0].user_text
        erase(shop, subject_of(shop, "u-ada", ()))
        assert "" == reader.conversation("ada-1").turns[0].user_text


def test_an_id_that_holds_the_value_is_named(store, script_for):
    """Where a conversation's id holds the subject's value, the plan says that it stays."""
    writer = store.writer()
    script_for(writer).turn(f"chat-{SECRET}", user_id=SECRET)
    writer.close()
    assert erase(store, subject_of(store, SECRET, ())).named == [f"chat-{SECRET}"]
