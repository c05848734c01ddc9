"""Hostile stores: journals, segments, checkpoints and clocks, through the commands and the screen."""

import base64
import os
import shutil
import struct
import time

import pyarrow.parquet as pq
import pytest

from auditlog.cli.exits import Exit
from auditlog.journal import read_frames
from auditlog.journal.frames import make_frame
from auditlog.ledger.ledger import append_entry
from auditlog.store import Store


@pytest.fixture
def live(store, script):
    """Give a store with one conversation in its journal, and the journal's file, its writer gone."""
    script.turn("case-1")
    script.writer.close()
    [path] = (store.path / "journal").glob("*.wal")
    return store, path


TAILS = {
    "length 2^32-1": b"ALJ1" + struct.pack("<II", 2**32 - 1, 0) + struct.pack("<Q", 99) + b"x" * 100,
    "length 2^31": b"ALJ1" + struct.pack("<II", 2**31, 1) + struct.pack("<Q", 99),
    "zeros": bytes(1 << 20),
    "noise": os.urandom(4096),
    "magic only": b"ALJ1",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TAILS)
def test_what_follows_the_last_record_stops_reading_and_takes_no_memory(name, live, run_measured):
    """A frame that says it has 4 GB, zeros and noise behind the last record end the reading there, in bounded memory."""
    store, path = live
    path.write_bytes(path.read_bytes() + TAILS[name])
    for command in (("ls",), ("seal",), ("ls",)):
        done, peak_kilobytes = run_measured(*command, "--store", store.path)
        assert peak_kilobytes < 1_500_000
        assert done.returncode in (Exit.OK, Exit.NO), done.stderr
        assert "Traceback" not in done.stderr
        if command == ("ls",):
            assert "case-1" in done.stdout


def test_a_copied_journal_brings_nothing_twice(live, run):
    """A journal that stands there twice is read as one, and sealing says what came twice."""
    store, path = live
    boot, pid, began = path.stem.split("-")
    shutil.copy(path, path.with_name(f"{boot}-{pid}-{int(began) + 1}.wal"))
    count = ("sql", "SELECT count(*) AS n FROM spans", "--format", "jsonl", "--store", store.path)
    before = run(*count).stdout
    assert before == '{"n":3}\n'
    done = run("seal", "--store", store.path)
    assert "6 repeated records" in done.stderr
    assert run(*count).stdout == before


def test_two_records_of_one_sequence_are_flagged(live, run):
    """Where two journals say different things of one call, sealing says so and exits with 1."""
    store, path = live
    boot, pid, began = path.stem.split("-")
    copy = path.with_name(f"{boot}-{pid}-{int(began) + 1}.wal")
    frames = [frame.payload for frame in read_frames(path)]
    altered = [payload.replace(b"On its way.", b"Refund 900 ") for payload in frames]
    assert altered != frames
    copy.write_bytes(b"".join(make_frame(number, payload) for number, payload in enumerate(altered)))
    done = run("seal", "--store", store.path)
    assert done.exit_code == Exit.NO
    assert "2 conflicting records." in done.stderr
    assert "On its way." in run("show", "case-1", "--store", store.path).stdout


@pytest.fixture
def sealed(live):
    """Give a sealed store, and the path of its segment."""
    store, _ = live
    store.seal()
    return store, store.path / store.segments()[0].path


def verified(run, store, *options):
    """Verify a store; give the exit code and everything that was said."""
    done = run("verify", *options, "--store", store.path)
    return done.exit_code, done.stdout + done.stderr


def test_a_flipped_bit_in_a_segment_is_found_and_the_file_named(sealed, run):
    """One bit anywhere in a sealed file: verify says INVALID and names it."""
    store, path = sealed
    whole = path.read_bytes()
    for at in (4, len(whole) // 3, len(whole) // 2, len(whole) - 12):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        code, said = verified(run, store)
        assert code == 1, said
        assert "INVALID" in said
        assert path.name in said
    path.write_bytes(whole)
    assert verified(run, store)[0] == 0


def test_a_swapped_footer_is_found_and_the_file_named(sealed, run):
    """A Parquet file with the footer of another: verify names it, and no command shows what it then says."""
    store, path = sealed
    table = pq.read_table(path)
    other = path.with_name("other.parquet")
    pq.write_table(table.slice(0, 1), other)
    body, foot = path.read_bytes(), other.read_bytes()
    other.unlink()
    size = struct.unpack("<I", foot[-8:-4])[0] + 8
    path.write_bytes(body[: len(body) - size] + foot[-size:])
    code, said = verified(run, store)
    assert (code, path.name in said) == (1, True), said
    done = run("show", "case-1", "--store", store.path)
    assert done.exit_code == Exit.ERROR
    assert path.name in done.stderr


def test_a_checkpoint_with_a_newline_in_its_origin_is_rejected(sealed, run):
    """An origin of two lines is a checkpoint of another shape: refused, and nothing of it is used."""
    store, _ = sealed
    checkpoint = store.path / "ledger" / "checkpoint"
    lines = checkpoint.read_text().split("\n")
    checkpoint.write_text("\n".join(["evil\n" + lines[0], *lines[1:]]))
    code, said = verified(run, store)
    assert code == 1, said
    assert "checkpoint" in said
    settings = store.path / "store.toml"
    settings.write_text(settings.read_text().replace('origin = "', 'origin = "evil\\n'))
    assert verified(run, store)[0] == 1


def test_two_roots_of_one_size_diverge(sealed, run, tmp_path):
    """A known checkpoint that says another root of the same size: DIVERGED, with its own exit code."""
    store, _ = sealed
    copy = tmp_path / "copy"
    shutil.copytree(store.path, copy)
    for path, who in ((store.path, "one"), (copy, "other")):
        with Store.open(path) as opened:
            append_entry(opened.layout, {"type": "access", "who": who})
    known = copy / "ledger" / "checkpoint"
    code, said = verified(run, store, "--known-checkpoint", known)
    assert code == 2, said
    assert "DIVERGED" in said
    forged = known.read_text().split("\n")
    forged[2] = base64.b64encode(bytes(32)).decode()
    (tmp_path / "forged").write_text("\n".join(forged))
    assert verified(run, store, "--known-checkpoint", tmp_path / "forged")[0] != 0


DAY = 86_400 * 10**9
LATEST = 2**63 - 10**12  # what 64 bits of nanoseconds hold: the year 2262


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shift"), [("back", -DAY), ("ahead", DAY), ("2262", None)])
async def test_a_clock_that_jumps(name, shift, store, script, run, app_on, until):
    """A clock a day back, a day ahead or at the end of time is recorded as it was, shown, sealed, and flagged by doctor."""
    script.turn("case-1", tools=())
    script.now = LATEST if shift is None else time.time_ns() + shift
    script.turn("case-2", tools=())
    script.now = time.time_ns()
    script.turn("case-3", tools=())
    script.writer.close()
    store.refresh()
    for sealed in (False, True):
        if sealed:
            assert run("seal", "--store", store.path).exit_code == Exit.OK
        listed = run("ls", "--store", store.path)
        assert listed.exit_code == Exit.OK, listed.stderr
        assert all(f"case-{number}" in listed.stdout for number in (1, 2, 3))
        shown = run("show", "case-2", "--store", store.path)
        assert shown.exit_code == Exit.OK, shown.stderr
        told = run("doctor", "--store", store.path)
        assert ("in the future" in told.stdout) == (name != "back"), told.stdout
    assert verified(run, store)[0] == 0
    async with app_on(store.path).run_test(size=(110, 20)) as pilot:
        await until(pilot, "case-2")


def test_the_year_9999_is_beyond_what_a_time_can_be(otlp, span, run, tmp_path, store, monkeypatch):
    """A time beyond 64 bits of nanoseconds is left out of an import with a reason, and never stops an agent."""
    path = otlp(span(1), span(2, startTimeUnixNano="253402300799000000000"))
    done = run("import", path, "--store", tmp_path / "imported")
    assert "span 2 has no start time" in done.stderr

    import auditlog

    auditlog.configure(store.path)
    try:

        @auditlog.agent
        def support(question):
            return "answer"

        monkeypatch.setattr(time, "time_ns", lambda: 253_402_300_799 * 10**9)
        with auditlog.conversation("case-1"):
            assert support("hello") == "answer"
    finally:
        monkeypatch.undo()
        auditlog.shutdown()
