"""What runs is what was planned: each worker is compared with what the first look found, and the files again at the end.

The rules:

1. A worker that finds other files, packages, another Python or another agent than the plan does not run a case: what a run says
   of its candidate would be true of a part of it only. That holds for another machine's workers, too.
2. Nor does one whose kernel gives less than the plan says.
3. Prompts and data are read case by case, so the files are compared again before a run is called complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from replay.errors import RunError, TargetError
from replay.running.protocol import Ready
from replay.targets.locate import target_digest
from replay.targets.planned import PlannedTarget
from replay.targets.sources import code_of

_KERNEL = ("landlock", "seccomp", "network", "private")
"""The first words of the locks that a machine may not give."""


def as_seen(target: PlannedTarget, ready: Ready) -> PlannedTarget:
    """Give a target as a worker found it."""
    packages = replace(target.packages, python=ready.python, installed=ready.installed, digest=ready.packages)
    place = None if target.place is None else replace(target.place, roots=ready.roots)
    found = replace(
        target, name=ready.name, version=ready.version, sources=ready.sources, packages=packages, place=place
    )
    return replace(found, digest=target_digest(found, ready.digest))


def refuse_another(target: PlannedTarget, locks: Sequence[str], ready: Ready) -> None:
    """Refuse a worker that is not what the run was planned with.

    Args:
        target: as the plan has it.
        locks: those that the plan says are held.
        ready: what the worker found.

    Raises:
        TargetError: it is another, or less is held.
    """
    found = as_seen(target, ready)
    if found.sources != target.sources:
        raise TargetError(_changed(target))
    if found.digest != target.digest:
        other = [
            name
            for name, differs in (
                ("another Python", found.packages.python != target.packages.python),
                ("other packages", found.packages.digest != target.packages.digest),
            )
            if differs
        ]
        msg = (
            f"A worker of {target.label} has {' and '.join(other) or 'another agent'} than the run began with, and its halves "
            "would not compare. What is done is kept. Install nothing while a run is under way, and the same on all machines."
        )
        raise TargetError(msg)
    if less := [lock for lock in locks if lock.startswith(_KERNEL) and not _is_held(lock, ready.locks)]:
        msg = (
            f"A worker of {target.label} is on a machine that does not give {', '.join(less)}, which the run says is held. "
            "What is done is kept. Let its workers be on machines whose kernels give the same."
        )
        raise TargetError(msg)


def refuse_changed_files(targets: Iterable[PlannedTarget | None]) -> None:
    """Refuse to call a run complete whose targets' files are not those that it began with.

    Raises:
        RunError: they were changed.
    """
    for target in targets:
        roots = () if target is None or target.place is None else target.place.roots
        if target is not None and roots and code_of(roots) != target.sources:
            raise RunError(_changed(target))


def held_by_all(looked: Sequence[Ready]) -> tuple[str, ...]:
    """Give the locks that every target's worker holds."""
    return tuple(lock for lock in looked[0].locks if all(_is_held(lock, ready.locks) for ready in looked))


def missing_locks(held: Iterable[str], hosts: Sequence[str]) -> list[str]:
    """Say which of the kernel's locks this machine does not give; Python's hold everywhere.

    Args:
        held: the locks that took hold.
        hosts: the hosts that may be reached.
    """
    locks = {lock.split(" ")[0]: lock for lock in held}
    notes = []
    version = _version(locks.get("landlock", ""))
    if not version:
        notes.append(
            "This kernel has no Landlock, so native code in the agent is not kept from files and programs."
        )
    elif hosts and version < 4:
        notes.append(
            f"This kernel's Landlock (version {version}) knows no ports, so native code in the agent reaches any address, "
            "and not only the hosts that are allowed. Linux 6.7 has it."
        )
    if "seccomp" not in locks:
        signals = "" if version >= 6 else ", from signals to other processes"
        notes.append(
            "This system filters no system calls, so native code in the agent is not kept from starting processes"
            f"{signals} and from unix sockets."
        )
    if not hosts and "network" not in locks:
        notes.append(
            "This system gives no network namespace, so native code in the agent is not kept off the network."
        )
    if "private" not in locks:
        notes.append(
            "This system gives no shared memory of its own to a worker, so what the agent leaves in /dev/shm is seen by others."
        )
    return notes


def _is_held(lock: str, held: Sequence[str]) -> bool:
    if not lock.startswith("landlock "):
        return lock in held
    return any(_version(other) >= _version(lock) for other in held if other.startswith("landlock "))


def _version(lock: str) -> int:
    number = lock.rpartition(" ")[2]
    return int(number) if number.isdigit() else 0


def _changed(target: PlannedTarget) -> str:
    return (
        f"The files of {target.path} were changed while the run was under way, and its halves would "
        "not compare. What is done is kept. Start a new run, of a commit (git:REV) if the files change often."
    )
