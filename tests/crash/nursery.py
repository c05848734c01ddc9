"""Kills recorders and sealers by the hundred: they are forked by a process that has imported everything, and killed at once.

    nursery.py record DIRECTORY SEED KILLS [fork]
    nursery.py seal DIRECTORY SEED KILLS
    nursery.py race DIRECTORY SEED ROUNDS

`race` has several sealers run at once while others record, and kills one of them.

Every store is checked against what its recorders had said that they wrote, live, sealed, and sealed again. It prints the counts
as JSON; where a store does not hold what was said, it says so and exits with 1.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import oracle
import recorder_child

from auditlog import layout as layouts
from auditlog.sealing import seal

PER_STORE = 25


def forked(work):
    """Run some work in a child in a session of its own; give its number and what it writes to stdout."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.close(reader)
            os.dup2(writer, 1)
            work()
        finally:
            os._exit(0)
    os.close(writer)
    return child, reader


def killed(child, reader, seconds):
    """Kill a child and its own children after it has said something and some time has passed; give what it said."""
    said = os.read(reader, 1 << 16)
    time.sleep(seconds)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while more := os.read(reader, 1 << 20):
        said += more
    os.close(reader)
    os.waitpid(child, 0)
    # The last line may be torn: what was not said whole was not acknowledged.
    return [tuple(line.split()) for line in said.decode().split("\n")[:-1]]


def record(path, seed, chance, *flags, rotations=(5_000, 20_000, 1 << 26)):
    """Kill one recorder; give the records that it had acknowledged."""
    rotate = chance.choice(rotations)
    child, reader = forked(lambda: recorder_child.main(path, seed, rotate, *flags))
    return killed(child, reader, chance.uniform(0, 0.006))


def kill_recorders(root, seed, kills, *flags):
    """Kill recorders, several to a store."""
    chance, done, said = random.Random(seed), 0, 0
    while done < kills:
        path, acknowledged = root / str(done), []
        for _ in range(min(PER_STORE, kills - done)):
            done += 1
            acknowledged += record(path, seed * 1_000_003 + done, chance, *flags)
        oracle.check(path, acknowledged)
        said += len(acknowledged)
    return {"kills": done, "acknowledged": said}


def kill_sealers(root, seed, kills):
    """Kill sealers, and the recorders before them; look at the store each time, and seal it in the end."""
    chance, done, said = random.Random(seed), 0, 0
    while done < kills:
        path, acknowledged = root / str(done), []
        for _ in range(min(PER_STORE, kills - done)):
            done += 1
            acknowledged += record(path, seed * 1_000_003 + done, chance)
            child, reader = forked(
                lambda path=path: (os.write(1, b"sealing\n"), seal.seal(layouts.find(path)))
            )
            killed(child, reader, chance.uniform(0, 0.08))
            oracle.check(path, acknowledged, deep=False)
        oracle.check(path, acknowledged)
        said += len(acknowledged)
    return {"kills": done, "acknowledged": said}


def race_sealers(root, seed, rounds):
    """Run sealers at once, one of which dies, beside a recorder that lives on; nothing is sealed twice or lost."""
    chance, path, acknowledged = random.Random(seed), root / "race", []
    for number in range(rounds):
        for turn in range(2):
            acknowledged += record(path, seed * 1_000_003 + number * 10 + turn, chance, rotations=(100_000,))
        living, said = forked(lambda number=number: recorder_child.main(path, number, 200_000, "paced"))
        sealers = [
            forked(
                lambda: (os.write(1, b"sealing\n"), seal.seal(layouts.find(path)), os.write(1, b"sealed\n"))
            )
            for _ in range(4)
        ]
        killed(*sealers[0], chance.uniform(0, 0.05))
        for child, reader in sealers[1:]:
            told = b""
            while more := os.read(reader, 1 << 16):
                told += more
            os.close(reader)
            os.waitpid(child, 0)
            if told != b"sealing\nsealed\n":
                raise oracle.PromiseError("a sealer that nobody killed did not come to its end")
        acknowledged += killed(living, said, 0)
        oracle.check(path, acknowledged, deep=False)
    oracle.check(path, acknowledged)
    return {"kills": rounds * 5, "acknowledged": len(acknowledged)}


if __name__ == "__main__":
    what, directory, seed, kills, *flags = sys.argv[1:]
    kill = {"record": kill_recorders, "seal": kill_sealers, "race": race_sealers}[what]
    try:
        print(json.dumps(kill(Path(directory), int(seed), int(kills), *flags)))
    except oracle.PromiseError as broken:
        sys.exit(str(broken))
