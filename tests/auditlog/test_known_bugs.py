"""What users of other recorders suffered from, each by its number there, and how it is here."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

import auditlog
from auditlog import config
from auditlog.journal import JournalWriter
from auditlog.recorder import Recorder
from auditlog.store import Store


@pytest.fixture
def audit(tmp_path):
    """Record into a store on the disk for the length of a test."""
    auditlog.configure(tmp_path / "audit")
    yield tmp_path / "audit"
    auditlog.shutdown()


def spans(path):
    """Give what a store holds, in order of start."""
    with Store.open(path) as store:
        return store.query("SELECT * FROM spans ORDER BY start_ns").to_pylist()


def journal(path):
    """Give every byte that was written."""
    return b"".join(file.read_bytes() for file in sorted((path / "journal").glob("*.wal")))


@auditlog.tool
async def step(n):
    """Give back what it got, later."""
    await asyncio.sleep(0)
    return n


def test_async_generators_last_and_have_children(recording):
    """langfuse#7749: an async generator has the duration of its iteration, and its calls are its children, not its consumer's."""

    @auditlog.model
    async def stream(messages):
        for n in range(2):
            await step(n)
            yield n
            await asyncio.sleep(0.005)

    @auditlog.agent
    async def bot():
        return [await step(10 + n) async for n in stream([])]

    asyncio.run(bot())
    turn, model = recording.named("bot")["span_id"], recording.named("stream")
    parents = [row["parent_span_id"] for row in recording.rows if row["name"] == "step"]
    assert [model["span_id"], turn, model["span_id"], turn] == parents
    assert turn == model["parent_span_id"]
    assert model["end_ns"] - model["start_ns"] >= 10_000_000


@pytest.mark.parametrize("leave", ["break", "cancel", "forget"])
def test_an_async_generator_left_half_way_ends(recording, caplog, leave):
    """langfuse#7749: one that its consumer leaves, cancels or forgets is ended all the same, and no context is lost."""
    caplog.set_level(logging.ERROR)

    @auditlog.model
    async def stream(messages):
        n = 0
        while True:
            await step(n)
            yield n
            n += 1

    @auditlog.agent
    async def bot():
        if leave == "cancel":
            async with asyncio.timeout(0.02):
                async for _ in stream([]):
                    await asyncio.sleep(0.005)
        elif leave == "break":
            async for _ in stream([]):
                break
        else:
            await anext(stream([]))
        gc.collect()
        await asyncio.sleep(0)
        await step(99)

    with contextlib.suppress(TimeoutError):
        asyncio.run(bot())
    gc.collect()
    model = recording.named("stream")
    assert "incomplete" != model["status"]
    assert (recording.named("bot")["span_id"], []) == (model["parent_span_id"], caplog.records)
    if leave != "cancel":
        last = [row for row in recording.rows if row["name"] == "step"][-1]
        assert recording.named("bot")["span_id"] == last["parent_span_id"]


def test_executors_keep_the_turn(recording):
    """langfuse-python#1183: with `propagate`, every task of a thread pool, of `map`, too, is in the turn that submitted it."""

    @auditlog.tool
    def work(n):
        return n

    @auditlog.agent
    def bot(pool):
        return [*pool.map(work, range(3)), pool.submit(work, 3).result()]

    with auditlog.propagate(ThreadPoolExecutor(2)) as pool:
        assert [0, 1, 2, 3] == bot(pool)
        assert [0, 1, 2, 3] == bot(pool)
    turns = [row["span_id"] for row in recording.rows if row["name"] == "bot"]
    parents = [row["parent_span_id"] for row in recording.rows if row["name"] == "work"]
    assert sorted([*turns] * 4) == sorted(parents)


def test_attributes_land_where_the_body_is(recording):
    """openinference#3662: what a body says after it was suspended, or between two items, is said of its own call."""

    @auditlog.tool
    async def look():
        await asyncio.sleep(0)
        auditlog.annotate(prompt_name="late")
        return 1

    @auditlog.model
    async def stream(messages):
        yield 1
        await look()
        auditlog.annotate(input_tokens=7)
        yield 2

    @auditlog.agent
    async def bot():
        async for _ in stream([]):
            auditlog.annotate(prompt_version="mine")

    with auditlog.conversation("c", user="u", tags={"k": "v"}):
        asyncio.run(bot())
    said = {
        row["name"]: (row["prompt_name"], row["input_tokens"], row["prompt_version"])
        for row in recording.rows
    }
    assert {
        "bot": (None, None, "mine"),
        "stream": (None, 7, None),
        "look": ("late", None, None),
    } == said
    assert ("c", "u") == (recording.named("bot")["conversation_id"], recording.named("bot")["user_id"])


def test_a_module_does_not_spin(recording):
    """langfuse#7349: a module, a client or the interpreter itself among the arguments is a mark, at once."""

    @auditlog.tool
    def work(module, everything):
        return module

    assert sys is work(sys, {"modules": sys.modules, "loop": asyncio, "frame": sys._getframe()})
    row = recording.named("work")
    assert row["lossy"]
    assert {"$auditlog": "object", "type": "builtins.module"} == orjson.loads(row["output"])


@pytest.mark.parametrize("size", [1_100_000, 5_000_000, 50_000_000])
def test_large_payloads_are_neither_cut_nor_dropped(audit, size):
    """langfuse#4940, langfuse#1676: megabytes in and out of a call are in the store to the last byte."""

    @auditlog.tool
    def work(text):
        return text[::-1]

    text = "ab" * (size // 2)
    work(text)
    auditlog.shutdown()
    (row,) = spans(audit)
    assert {"text": text} == orjson.loads(row["input"])
    assert text[::-1] == orjson.loads(row["output"])


def test_no_queue_is_pinned(audit):
    """langfuse-python#1752: thousands of calls back to back, from many threads, are all there; nothing waits in a queue."""

    @auditlog.tool
    def work(n):
        return n

    def many(first):
        for n in range(first, first + 500):
            work(n)

    threads = [threading.Thread(target=many, args=(first,)) for first in range(0, 4000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Nothing was flushed or closed: what `work` returned from is already in the file.
    assert list(range(4000)) == sorted(orjson.loads(row["output"]) for row in spans(audit))


def test_flush_proves_what_it_says(audit):
    """`flush()` that proves nothing: True means that another process reads it, False that something is missing."""

    @auditlog.tool
    def work(n):
        return n

    work(1)
    assert auditlog.flush()
    program = "import sys; from auditlog.store import Store; print(len(list(Store.open(sys.argv[1]).conversations())))"
    found = subprocess.run([sys.executable, "-c", program, str(audit)], capture_output=True, check=True)
    assert b"1" == found.stdout.strip()


def test_flush_says_no_when_the_disk_does(tmp_path, monkeypatch):
    """`flush()` that proves nothing: where the disk refuses the sync, the answer is no."""

    def refuse(_descriptor):
        raise OSError(5, "no")

    writer = JournalWriter(tmp_path / "journal")
    config.use(Recorder(writer))
    try:
        auditlog.tool(lambda n: n)(1)
        monkeypatch.setattr(os, "fdatasync", refuse)
        assert not auditlog.flush()
    finally:
        monkeypatch.undo()
        config.use(None)


def test_a_slow_disk_does_not_block_the_loop(audit, monkeypatch):
    """mlflow#25178: while the disk does not answer a sync, the event loop goes on, and so do the recorded calls."""
    answered, asked = threading.Event(), threading.Event()
    sync = os.fdatasync

    def slow(descriptor):
        asked.set()
        answered.wait(20)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    ticks = []

    async def main():
        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0)

        beside = asyncio.create_task(tick())
        await step(0)
        await asyncio.to_thread(asked.wait, 10)
        before = len(ticks)
        for n in range(100):
            await step(n)
        beside.cancel()
        return len(ticks) - before

    try:
        assert asyncio.run(main()) >= 100
        assert not answered.is_set()
    finally:
        answered.set()


def test_a_secret_over_two_chunks_is_redacted(tmp_path):
    """cline#9797: a secret that a stream splits over its chunks is taken out before anything is written."""
    auditlog.configure(tmp_path / "audit", redact=True)

    @auditlog.model
    def stream(messages):
        yield from ["write to ada.lovel", "ace@exam", "ple.org now"]

    try:
        assert "write to ada.lovelace@example.org now" == "".join(stream([]))
    finally:
        auditlog.shutdown()
    written = journal(tmp_path / "audit")
    assert b"<email:" in written
    assert not [part for part in (b"lovel", b"ace@exam", b"ple.org") if part in written]


def test_a_token_tells_nothing_of_the_secret(tmp_path):
    """logfire#1909: what stands in place of a secret holds no part of it, nor its length, nor a hash without a key."""
    found = []
    for name in ("a", "b"):
        auditlog.configure(tmp_path / name, redact=True)
        try:
            auditlog.tool(lambda text: text)("mail grace.hopper@navy.example please")
        finally:
            auditlog.shutdown()
        written = journal(tmp_path / name)
        assert not [part for part in (b"grace", b"hopper", b"navy") if part in written]
        found.append(written[written.index(b"<email:") :].partition(b">")[0])
    assert found[0] != found[1]
    assert {len(found[0])} == {len(token) for token in found}


def test_gather_and_cancellation_keep_their_places(recording):
    """Calls under way together end by themselves: what is cancelled says so, and its siblings stay children of the turn."""

    @auditlog.tool
    async def slow(n):
        await asyncio.sleep(0.001 if n else 10)
        return n

    @auditlog.agent
    async def bot():
        waiting = asyncio.create_task(slow(0))
        done = await asyncio.gather(*(slow(n) for n in range(1, 4)))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return done

    assert [1, 2, 3] == asyncio.run(bot())
    rows = [row for row in recording.rows if row["name"] == "slow"]
    assert {recording.named("bot")["span_id"]} == {row["parent_span_id"] for row in rows}
    statuses = {json.loads(row["input"])["n"]: row["status"] for row in rows}
    assert {0: "error", 1: "ok", 2: "ok", 3: "ok"} == statuses
    cancelled = next(row for row in rows if row["status"] == "error")
    assert "asyncio.exceptions.CancelledError" == json.loads(cancelled["error"])["type"]
