"""Workers that are not what was planned, kernels that give less, and files that change while a run is under way."""

from __future__ import annotations

from dataclasses import replace

import pytest

import auditlog
import replay as engine
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.errors import RunError, TargetError
from replay.running import protocol
from replay.running.pool import Launch, Worker
from replay.running.protocol import Ready, Setup, read_ready
from replay.running.runs import load_manifest
from replay.running.sameness import as_seen, held_by_all, missing_locks, refuse_another
from replay.sandbox.modes import Modes
from replay.targets.planned import Place, PlannedTarget

LOOKED = Ready(
    "bot",
    "d",
    "1",
    ("environment", "landlock 5", "seccomp", "guard"),
    sources="s",
    packages="p",
    python="3.11",
)
TARGET = as_seen(PlannedTarget("bot:answer", False, "", ""), LOOKED)


def test_a_worker_that_is_as_planned_runs():
    """The same files, packages, Python and agent, on a kernel that gives as much or more."""
    refuse_another(TARGET, LOOKED.locks, LOOKED)
    refuse_another(TARGET, LOOKED.locks, replace(LOOKED, locks=("landlock 6", "seccomp")))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"sources": "other"}, "The files of bot:answer were changed"),
        ({"packages": "other"}, "has other packages than"),
        ({"python": "3.12"}, "has another Python than"),
        ({"digest": "other"}, "has another agent than"),
        ({"locks": ("landlock 5",)}, "does not give seccomp"),
        ({"locks": ("landlock 3", "seccomp")}, "does not give landlock 5"),
    ],
)
def test_a_worker_that_is_another_runs_nothing(other, says):
    """Each difference is named, and stops the run: two versions under one name compare with nothing."""
    with pytest.raises(TargetError, match=says):
        refuse_another(TARGET, LOOKED.locks, replace(LOOKED, **other))


def test_what_all_targets_hold_is_what_a_run_holds():
    """The baseline's worker counts as much as the candidate's."""
    other = replace(LOOKED, locks=("environment", "landlock 5"))
    assert ("environment", "landlock 5") == held_by_all([LOOKED, other])


@pytest.mark.parametrize(
    ("held", "hosts", "said"),
    [
        (("landlock 6", "seccomp", "network namespace", "private shared memory"), (), []),
        (("landlock 3", "seccomp", "private shared memory"), ("h:1",), ["(version 3) knows no ports"]),
        (("landlock 3", "seccomp", "network namespace", "private shared memory"), (), []),
        (("landlock 5", "private shared memory"), ("h:1",), ["from signals to other processes"]),
        (("landlock 6", "seccomp", "network namespace"), (), ["/dev/shm"]),
        ((), (), ["no Landlock", "no system calls", "no network namespace", "/dev/shm"]),
    ],
)
def test_what_a_kernel_does_not_give_is_said_by_its_version(held, hosts, said):
    """A Landlock that knows no ports holds none, whatever it is called."""
    notes = missing_locks(held, hosts)
    assert len(said) == len(notes)
    assert all(part in note for part, note in zip(said, notes, strict=True))


@pytest.mark.parametrize("message", [{"say": "ready"}, {"say": "ready", "name": "x", "nonsense": 1}])
def test_nonsense_is_no_ready(message):
    """What is missing or unknown is an error of a kind that is caught."""
    with pytest.raises(ValueError, match="argument"):
        read_ready(message)


def test_what_does_not_know_the_token_is_not_believed():
    """A module that writes into the pipe while it is imported does not become what its run says of it."""
    worker = Worker(Launch(Setup("bot:answer", False, Modes(), (), ""), Place(".", ())), {})
    with pytest.raises(TargetError, match="said something in its worker's place"):
        worker._understood(protocol.ready_message(LOOKED))
    with pytest.raises(TargetError, match="said something in its worker's place"):
        worker._understood({"say": "failed", "why": "x", "refused": [], "token": "guessed"})
    assert LOOKED == worker._understood({**protocol.ready_message(LOOKED), "token": worker._token})


def test_files_that_change_while_a_run_is_under_way_end_it(tmp_path):
    """Prompts are read case by case: a run is not complete whose files are not those that it began with."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "prompt.md").write_text("Good day.")
    (home / "edited_bot.py").write_text(
        "import auditlog\n@auditlog.agent('bot')\ndef answer(question):\n    return question\n"
    )
    store = Store.create(tmp_path / "audit")
    previous = config._state.recorder
    config.use(Recorder(store.writer(), agent_version="1"))
    with auditlog.conversation("c"):
        auditlog.agent("bot")(lambda question: question)("hi")
    config.use(previous)
    store.close()
    with Store.open(tmp_path / "audit") as opened:
        plan = engine.plan(opened, "edited_bot:answer", path=home, workers=1)

        def edit(_):
            (home / "prompt.md").write_text("Go away.")

        with pytest.raises(RunError, match="were changed while the run was under way"):
            engine.run(opened, plan, progress=edit)
        assert plan.candidate.digest == load_manifest(opened, "last")["candidate"]["digest"]
        assert "roots" not in str(load_manifest(opened, "last"))
