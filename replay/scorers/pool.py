"""Scoring workers, from the side of the process that starts them.

The rules:

1. A worker is a fresh interpreter in a session of its own, with a scrubbed environment and a scratch directory that is
   thrown away with it.
2. Each score has a deadline. A scorer that misses it, or takes its process down, has failed on that case; the process is
   started again, and the other scorers of the case are asked as if nothing had been.
3. What a worker says is checked like any stranger's words; what is no score is a failure.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO, Any, Self

from replay.errors import ScorerError
from replay.sandbox.environment import scrubbed
from replay.scorers import wire
from replay.scorers.model import Score, Subject, failure
from replay.scorers.worker import ScoringSetup, setup_json

START_SECONDS = 120.0
MAX_ANSWER_BYTES = 1 << 22
_STARTS = 3


class _Gone(Exception):  # noqa: N818 - no error: the worker ended, and that is a result
    """The worker ended or did not answer in time; the message says which."""


class ScoringWorker:
    """One worker process; used by one thread, and started again when it dies."""

    def __init__(self, setup: ScoringSetup, deadline: float) -> None:
        """Prepare to start a worker.

        Args:
            setup: the scorers that it imports, and what they may reach.
            deadline: seconds that a score may take.
        """
        self._setup = setup
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = ""
        self._errors: IO[bytes] | None = None
        self._reading = self._writing = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> list[dict[str, Any]]:
        """Start the process; give what it found each scorer to be, or `error`.

        Raises:
            ScorerError: it does not start.
        """
        why = ""
        for _ in range(_STARTS):
            self._launch()
            try:
                self._send(setup_json(replace(self._setup, scratch=self._scratch)))
                message = self._hear(START_SECONDS)
            except _Gone as gone:
                # Before it is ready it has seen nothing of any customer.
                why = f"{gone}{self._last_words()}"
                self.close()
                continue
            if message.get("say") == "ready":
                return list(message["scorers"])
            why = "it said something else than that it is ready"
            self.close()
        names = ", ".join(map(str, self._setup.specs))
        msg = f"The worker for the scorers {names} does not start: {why}."
        raise ScorerError(msg)

    def score(self, subject: Subject, indexes: Sequence[int]) -> Iterator[tuple[int, Score]]:
        """Ask some scorers about one execution; each gives a score, whatever happens."""
        left = list(indexes)
        while left:
            try:
                if self._process is None:
                    self.start()
                self._send({"say": "score", "subject": wire.subject_json(subject), "scorers": left})
                while left:
                    score = _score_of(self._hear(self._deadline), left[0])
                    yield left.pop(0), score
            except _Gone as gone:
                self.close()
                yield left.pop(0), failure(f"The scorer {gone}.", (subject.run.turn_id,))

    def score_set(self, index: int, subjects: Iterable[Subject]) -> Score:
        """Ask a scorer of sets about an arm, handing it each execution as it asks for it."""
        waiting = iter(subjects)
        try:
            if self._process is None:
                self.start()
            self._send({"say": "set", "scorer": index})
            while True:
                message = self._hear(self._deadline)
                if message.get("say") != "next":
                    return _score_of(message, index)
                following = next(waiting, None)
                self._send({"subject": None if following is None else wire.subject_json(following)})
        except _Gone as gone:
            self.close()
            return failure(f"The scorer {gone}.")

    def kill(self) -> None:
        """End the process, from any thread; the thread that uses it finds it gone."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process at once, and clear up after it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for descriptor in (self._reading, self._writing):
                os.close(descriptor)
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f": {said[-1]}" if said else ""

    def _launch(self) -> None:
        self._scratch = tempfile.mkdtemp(prefix="auditlog-scoring-")
        theirs_in, self._writing = os.pipe()
        self._reading, theirs_out = os.pipe()
        command = [sys.executable, "-P", "-m", "replay.scorers.worker"]
        # It has no name: under one a scorer could put a link to what this process may read, and the worker not.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs_in), str(theirs_out), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs_in, theirs_out),
                cwd=self._setup.paths[0] if self._setup.paths else None,
                env=scrubbed(os.environ, self._scratch, self._setup.env),
                start_new_session=True,
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def _send(self, message: Mapping[str, Any]) -> None:
        rest = memoryview(wire.framed(message))
        until = time.monotonic() + max(self._deadline, START_SECONDS)
        while rest:
            self._wait([], [self._writing], until)
            try:
                rest = rest[os.write(self._writing, rest) :]
            except BlockingIOError:
                continue
            except OSError:
                raise _Gone(self._end()) from None

    def _hear(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        (size,) = wire.LENGTH.unpack(self._exactly(wire.LENGTH.size, until, seconds))
        if size > MAX_ANSWER_BYTES:
            msg = "said more than a score can hold"
            raise _Gone(msg)
        message = wire.loaded(self._exactly(size, until, seconds))
        if message is None:
            msg = "said something that is no score"
            raise _Gone(msg)
        return message

    def _exactly(self, size: int, until: float, seconds: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            if not self._wait([self._reading], [], until):
                msg = f"was not done after {seconds:g} s (--deadline)"
                raise _Gone(msg)
            try:
                chunk = os.read(self._reading, size - len(found))
            except BlockingIOError:
                continue
            if not chunk:
                raise _Gone(self._end())
            found += chunk
        return bytes(found)

    @staticmethod
    def _wait(reading: list[int], writing: list[int], until: float) -> bool:
        poll = select.poll()
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writing:
            poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))

    def _end(self) -> str:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=5)
            return f"took its process down (exit code {code})"
        return "hung up"


def _score_of(message: dict[str, Any], index: int) -> Score:
    match message:
        case {
            "say": "score",
            "scorer": said,
            "value": (int() | float() | None) as value,
            "label": str(label),
            "evidence": [*evidence],
            "explanation": str(explanation),
            "cost_usd": (int() | float() | None) as cost,
            "tokens": (int() | None) as tokens,
            "failed": bool(failed),
        } if said == index and (value is None or (math.isfinite(value) and 0 <= value <= 1)):
            return Score(value, label, tuple(map(str, evidence)), explanation, cost, tokens, failed)
        case _:
            msg = "said something that is no score"
            raise _Gone(msg)
