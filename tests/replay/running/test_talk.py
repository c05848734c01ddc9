"""What an agent writes into its worker's pipe asks for nothing and gives nothing."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from replay.running import frames
from replay.running.frames import Frame
from replay.running.pool import Launch, Worker
from replay.running.protocol import Job, Setup
from replay.running.talk import Talk
from replay.sandbox.modes import Modes
from replay.targets.planned import Place


def test_a_lease_that_nobody_waits_for_ends_nothing():
    """The thread that listens goes on, and who asks afterwards gets its lease."""
    from_run, to_worker = os.pipe()
    from_worker, to_run = os.pipe()
    try:
        talk = Talk(from_run, to_run, "token")
        talk.listen()
        frames.write_message(to_worker, {"say": "leased"})
        frames.write_message(to_worker, {"say": "cases"})
        heard = []
        hearing = threading.Thread(target=lambda: heard.append(talk.cases()), daemon=True)
        hearing.start()
        hearing.join(5)
        assert ["cases"] == [frame.message["say"] for frame in heard]
        asking = threading.Thread(target=talk.lease, daemon=True)
        asking.start()
        asked = frames.read_message(from_worker)
        assert {"say": "lease", "token": "token"} == asked.message
        frames.write_message(to_worker, {"say": "leased"})
        asking.join(5)
        assert not asking.is_alive()
    finally:
        os.close(to_worker)
        os.close(to_run)


@pytest.mark.parametrize("token", [{}, {"token": "another"}])
def test_a_lease_without_the_token_gets_none(token):
    """Who says it is not the worker, and nothing that this process says is believed any more."""
    leased, said = [], []

    async def lease():
        leased.append(True)
        return 0.0

    class Told:
        naps = nonsense = False

        def say(self, message, blob=b""):
            said.append(message["say"])

        async def hear(self):
            return [Frame({"say": "lease", **token}, b"")]

        def close(self):
            """Nothing is open."""

    async def scene():
        worker = Worker(Launch(Setup("bot:answer", False, Modes(), (), ""), Place("/", ())), {}, lease)
        worker._pipes = Told()
        async for answers in worker.run_all([Job("c", {}, [], {}, "c")]):
            return answers[0].result
        return None

    assert "its process said something else than its result" == asyncio.run(scene())
    assert (["cases"], []) == (said, leased)
