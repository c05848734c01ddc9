"""kill -9 in the middle of recording or sealing loses no acknowledged record."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditlog.store import Store

KILLS = int(os.environ.get("AUDITLOG_KILLS", "1000"))
SEED = int(os.environ.get("AUDITLOG_SEED", "0"))
NURSERY = Path(__file__).with_name("nursery.py")
CHILD = Path(__file__).with_name("recorder_child.py")
SEALER = (
    "import sys; from auditlog import layout; from auditlog.sealing import seal; "
    "print('ready', flush=True); seal.seal(layout.find(sys.argv[1]))"
)


def record_until_killed(path, seed, *flags, rotate_bytes=20_000):
    """Run a recorder, kill it and its children at a random moment, and give the records that it had acknowledged."""
    command = [sys.executable, CHILD, path, str(seed), str(rotate_bytes), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.04))
        os.killpg(child.pid, signal.SIGKILL)
        said += child.stdout.read()
    # The last line may be torn: what was not said whole was not acknowledged.
    return [tuple(line.split()) for line in said.decode().split("\n")[:-1]]


def assert_holds(store, acknowledged):
    """Check that a store shows each acknowledged record, once."""
    store.refresh()
    found = store.query(
        "SELECT trace_id, span_id, input IS NOT NULL AS s, end_ns IS NOT NULL AS e FROM all_spans"
    )
    rows = {(row["trace_id"], row["span_id"]): row for row in found.to_pylist()}
    assert len(rows) == found.num_rows
    for kind, trace, span in acknowledged:
        assert rows[trace, span]["s" if kind == "start" else "e"]
    assert len(list(store.spans())) == len(rows)


def kill_many(path, seeds, *flags):
    """Kill recorders, and check what they acknowledged live, after sealing, and after sealing again."""
    acknowledged = []
    for seed in seeds:
        acknowledged += record_until_killed(path, seed, *flags)
    with Store.open(path) as store:
        assert_holds(store, acknowledged)
        seen = store.query("SELECT count(*) AS n FROM all_spans WHERE segment IS NULL")["n"][0].as_py()
        report = store.seal()
        assert (report.live, report.lost, report.conflicts, report.unreadable, report.spans) == (
            (),
            0,
            0,
            0,
            seen,
        )
        assert_holds(store, acknowledged)
        assert store.seal().sealed == ()
    assert len(acknowledged) > len(seeds)


def test_no_acknowledged_record_is_lost_to_a_kill(store_path):
    """Recorders killed at random moments lose nothing that they had acknowledged, live or sealed."""
    kill_many(store_path, range(3))


def test_no_acknowledged_record_of_a_forked_child_is_lost_to_a_kill(store_path):
    """Nor do recorders that forked on the way."""
    kill_many(store_path, range(100, 103), "fork")


def test_no_acknowledged_record_is_lost_to_a_killed_sealer(store_path):
    """Sealers killed at random moments, while recorders write, lose and double nothing."""
    kill_sealers(store_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "seed", "share", "flags"),
    [("record", 1, 0.3, ()), ("seal", 2, 0.3, ()), ("record", 3, 0.3, ()), ("record", 4, 0.1, ("fork",))],
)
def test_no_acknowledged_record_is_lost_to_a_thousand_kills(tmp_path, what, seed, share, flags):
    """The same, many times over: a thousand kills, or as many as AUDITLOG_KILLS says."""
    kills, seed = math.ceil(KILLS * share), str(seed + 10 * SEED)
    command = [sys.executable, NURSERY, what, tmp_path, seed, str(kills), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr), f"seed {seed}"
    told = json.loads(done.stdout)
    print(
        f"{what} {' '.join(flags)}: {told['kills']} kills, {told['acknowledged']} records acknowledged, none lost"
    )
    assert kills == told["kills"]
    assert told["acknowledged"] > kills


def test_sealers_at_once_disturb_neither_each_other_nor_a_recorder(tmp_path):
    """Four sealers, one of which dies, beside a recorder: nothing shows twice, nothing is lost, and three come to an end."""
    done = subprocess.run(
        [sys.executable, NURSERY, "race", tmp_path, "7", "1"], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


def kill_sealers(path, kills, seed=0):
    """Kill recorders, and after each a sealer; check what was acknowledged each time."""
    chance = random.Random(seed)
    acknowledged = []
    for number in range(kills):
        acknowledged += record_until_killed(path, seed * 1000 + number)
        with subprocess.Popen([sys.executable, "-c", SEALER, path], stdout=subprocess.PIPE) as sealer:
            assert sealer.stdout is not None
            sealer.stdout.readline()
            time.sleep(chance.uniform(0, 0.12))
            sealer.kill()
        with Store.open(path) as store:
            assert_holds(store, acknowledged)
    with Store.open(path) as store:
        store.seal()
        assert_holds(store, acknowledged)
        assert store.seal().sealed == ()
    assert list((path / "journal").glob("*.wal")) == []
