"""The worker's side of the talk with its run.

The rules:

1. What a worker says goes out whole, whichever thread says it.
2. Without leases the run is listened to between cases only. With leases a thread of the worker's own listens all the time, so
   that a coroutine that waits for its lease keeps nobody else of its event loop waiting.
3. Leases are given in the order in which they were asked for.
4. A run that has hung up ends the worker at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from replay.running import frames, protocol

# The agent gets a stand-in for it.
_exit = os._exit


class Talk:
    """The talk with the run, in order; safe to use from any thread."""

    def __init__(self, reading: int, writing: int, token: str) -> None:
        """Begin to talk, and to listen between cases.

        Args:
            reading: the descriptor that the run writes into.
            writing: the descriptor that the run reads from.
            token: what tells this worker's words from an agent's.
        """
        self._reading, self._writing, self._token = reading, writing, token
        self._speaking = threading.Lock()
        self.case = ""
        """What is told belongs to it."""
        self._given: deque[Callable[[], None]] = deque()
        """What tells each who waits for a lease that it has it, oldest first."""
        self._cases: queue.SimpleQueue[frames.Frame | None] | None = None

    def listen(self) -> None:
        """Listen all the time from here on."""
        self._cases = queue.SimpleQueue()
        threading.Thread(target=self._hear, name="auditlog-leases", daemon=True).start()

    def cases(self) -> frames.Frame | None:
        """Give the next cases to run; None at the end."""
        return frames.read_message(self._reading) if self._cases is None else self._cases.get()

    def say(self, message: dict[str, Any], records: bytes = b"") -> None:
        """Say something that only this worker can say."""
        message["token"] = self._token
        with self._speaking:
            frames.write_message(self._writing, message, records)

    def tell(self, payloads: list[bytes]) -> None:
        """Have records kept while their case runs."""
        self.say(*protocol.told_message(self.case, payloads))

    def lease(self) -> None:
        """Wait until a live model call may begin."""
        given = threading.Event()
        self._ask(given.set)
        given.wait()

    async def lease_later(self) -> None:
        """Wait until a live model call may begin, and let the event loop go on meanwhile."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A coroutine of another library's loop.
            self.lease()
            return
        given = loop.create_future()

        def tell() -> None:
            if not given.done():
                given.set_result(None)

        def tell_from_here() -> None:
            # Who stopped waiting, with its loop, is told nothing: its lease is spent.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell)

        self._ask(tell_from_here)
        await given

    def _ask(self, given: Callable[[], None]) -> None:
        with self._speaking:
            # In the order in which the run hears it.
            self._given.append(given)
            frames.write_message(self._writing, {"say": "lease", "token": self._token})

    def _hear(self) -> None:
        assert self._cases is not None
        while (heard := frames.read_message(self._reading)) is not None:
            if heard.message.get("say") == "leased":
                # Where nobody waits, nobody asked.
                if self._given:
                    self._given.popleft()()
            else:
                self._cases.put(heard)
        self._cases.put(None)
        if self._given:
            _exit(0)
