"""Compacting, pruning and erasing, killed anywhere: an oracle says what a reader may see, and running again completes it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from auditlog.integrity.verify import verify
from auditlog.store import Store

pytestmark = pytest.mark.slow

DAY_NS = 86_400 * 1_000_000_000
FIRST_NS = 1_795_132_800 * 1_000_000_000
KILLS = 12

RUN = """
import sys
from auditlog.store import Store
from auditlog.keeping import compact, erase, prune
store = Store.open(sys.argv[1])
print("go", flush=True)
match sys.argv[2]:
    case "compact":
        compact.compact(store, grace=0)
    case "erase":
        erase.erase(store, erase.subject_of(store, "u-ada", ()))
    case "prune":
        prune.prune(store, int(sys.argv[3]), older_than="a day")
"""


@pytest.fixture
def filled(store, script_for):
    """Give a store of two days, eight segments, with a customer in most of them."""
    for number in range(8):
        writer = store.writer()
        script = script_for(writer, FIRST_NS + (number % 2) * DAY_NS + number * 10**9)
        for each in range(6):
            script.turn(f"ada-{number}-{each}", user_id="u-ada", user="the words of Ada" + "a" * 500)
            script.turn(f"bob-{number}-{each}", user_id="u-bob", user="the words of Bob" + "b" * 500)
        writer.close()
        store.seal()
    return store


def state(path):
    """Give what a reader sees of each span: its conversation, and whether its content is there."""
    with Store.open(path) as store:
        store.conversation("bob-1-0")
        found = store.query(
            "SELECT span_id, conversation_id, commitments IS NULL AS full FROM all_spans ORDER BY ALL"
        )
        return [tuple(row.values()) for row in found.to_pylist()]


@pytest.mark.parametrize("action", ["compact", "erase", "prune"])
def test_killed_anywhere_a_reader_sees_all_before_or_all_after(filled, tmp_path, action):
    """Whenever it is killed, the store verifies, readers see the state before or the one after, and running again ends it."""
    whole, work = filled.path, tmp_path / "work"
    arguments = [action, str(FIRST_NS + DAY_NS)]
    command = [sys.executable, "-c", RUN, work, *arguments]
    shutil.copytree(whole, work)
    before = state(work)
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"go\n"
    began = time.monotonic()
    assert child.wait() == 0
    longest = time.monotonic() - began
    child.stdout.close()
    after = state(work)
    files = sorted(p.parent.name for p in work.glob("segments/*/*"))
    assert (before == after) == (action == "compact")
    seen, chance = set(), random.Random(11)
    for _ in range(KILLS):
        shutil.rmtree(work)
        shutil.copytree(whole, work)
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"go\n"
        time.sleep(chance.random() * longest)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        found = state(work)
        seen.add("before" if found == before else "after" if found == after else "neither")
        assert verify(Store.open(work).layout, deep=True, jobs=1).faults == []
        subprocess.run(command, check=True, capture_output=True)
        assert after == state(work)
        assert files == sorted(p.parent.name for p in work.glob("segments/*/*"))
        assert verify(Store.open(work).layout, jobs=1).faults == []
    assert "neither" not in seen
