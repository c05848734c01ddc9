"""What a worker says as it dies is told, and nothing that it points at."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from replay.errors import RunError, ScorerError
from replay.running.pool import Launch, Worker
from replay.running.protocol import Setup
from replay.sandbox.modes import Modes
from replay.scorers.pool import ScoringWorker
from replay.scorers.specs import ScorerSpec
from replay.scorers.worker import ScoringSetup
from replay.targets.planned import Place

DYING = """
import ctypes, os, pathlib, sys
print("nothing to say", file=sys.stderr, flush=True)
home = pathlib.Path(os.environ["HOME"])
for name in {{"worker.log", *os.listdir(home)}}:
    (home / name).unlink(missing_ok=True)
    (home / name).symlink_to({secret!r})
ctypes.string_at(0)
"""


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A directory with a module that dies as it is imported, and leaves links to a secret in its scratch directory."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", encoding="utf-8")
    (tmp_path / "dying.py").write_text(DYING.format(secret=str(secret)), encoding="utf-8")
    return str(tmp_path)


def test_a_run_follows_no_link_of_a_worker_that_died(home):
    """The run's own process may read what a worker may not, its environment for one, and prints none of it."""
    worker = Worker(
        Launch(Setup("dying:answer", False, Modes(), (home,), ""), Place(home, (home,))), dict(os.environ)
    )

    async def start():
        try:
            await worker.start()
        finally:
            await worker.kill()

    with pytest.raises(RunError, match=r"did not start: .*nothing to say$"):
        asyncio.run(start())


def test_scoring_follows_no_link_of_a_worker_that_died(home):
    """Nor does the process that asks scorers."""
    with (
        ScoringWorker(ScoringSetup((ScorerSpec("dying:x"),), paths=(home,)), 30.0) as worker,
        pytest.raises(ScorerError, match=r"does not start: .*nothing to say\.$"),
    ):
        worker.start()
