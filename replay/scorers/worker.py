"""A scoring worker: a process that imports scorers and asks them, behind the locks of a replay.

The rules:

1. The locks are taken before any scorer is imported. A scorer reads what it is handed; it reaches no host but those that
   were allowed for it, starts no process, writes no file outside of scratch, and calls no decorated tool.
2. A refusal is remembered before it is raised: a scorer that swallows it has failed on that case all the same.
3. Each score is said as soon as it is there, so that a scorer that hangs costs its own score and no other.
4. What goes out is read by the other side like any stranger's words: a scorer is not believed.

Started as `python -P -m replay.scorers.worker READ WRITE PARENT`, with two pipes' descriptors and the parent's process id.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from replay.errors import ScorerError
from replay.running.protocol import LOCKS
from replay.sandbox import kernel
from replay.sandbox.hosts import AllowedHosts, Host
from replay.sandbox.locking import take_locks
from replay.sandbox.state import CaseState, process
from replay.scorers import wire
from replay.scorers.model import Score, Scorer, Subject, failure
from replay.scorers.specs import ScorerSpec, resolve

_leave = os._exit
"""Taken before the guard closes it to scorers."""


@dataclass(frozen=True, slots=True)
class ScoringSetup:
    """What a scoring worker is."""

    specs: tuple[ScorerSpec, ...]
    scratch: str = ""
    """Filled in for each worker."""
    paths: tuple[str, ...] = ()
    """Directories to import from, before the installed packages."""
    hosts: tuple[tuple[str, int], ...] = ()
    env: tuple[str, ...] = field(default=())
    """Names of variables that are let through."""
    memory_bytes: int | None = 4 << 30


def setup_json(setup: ScoringSetup) -> dict[str, Any]:
    """Say what a worker is to be."""
    return {"say": "setup", **asdict(setup)}


def setup_of(message: Mapping[str, Any]) -> ScoringSetup:
    """Understand `setup`."""
    fields: dict[str, Any] = {name: value for name, value in message.items() if name != "say"}
    fields["specs"] = tuple(ScorerSpec(**spec) for spec in fields["specs"])
    fields["hosts"] = tuple((name, port) for name, port in fields["hosts"])
    fields["paths"], fields["env"] = tuple(fields["paths"]), tuple(fields["env"])
    return ScoringSetup(**fields)


def main() -> None:
    """Talk to the scoring process until it hangs up."""
    reading, writing, parent = (int(argument) for argument in sys.argv[1:4])
    kernel.die_with_parent(parent)
    message = wire.read_message(reading)
    if message is None:
        return
    setup = setup_of(message)
    _take_locks(setup)
    scorers: list[Scorer | None] = []
    told: list[dict[str, Any]] = []
    for spec in setup.specs:
        try:
            found = resolve(spec)
        except ScorerError as error:
            scorers.append(None)
            told.append({"error": str(error) + _refused()})
        else:
            scorers.append(found)
            told.append(described(found))
    process.end()
    # From here on this process sees what customers said, and what a scorer prints is nobody's.
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    wire.write_message(writing, {"say": "ready", "scorers": told})
    gc.freeze()
    while (message := wire.read_message(reading)) is not None:
        match message:
            case {"say": "score", "subject": content, "scorers": [*indexes]}:
                subject = wire.subject_of(content)
                for index in indexes:
                    _say(writing, index, _judged(scorers[index], subject))
            case {"say": "set", "scorer": int(index)}:
                _say(writing, index, _judged_set(scorers[index], _pulled(reading, writing)))
            case _:
                return


def _take_locks(setup: ScoringSetup) -> None:
    hosts = AllowedHosts(Host(name, port) for name, port in setup.hosts)
    hosts.pin()
    if setup.memory_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (setup.memory_bytes, setup.memory_bytes))
    take_locks(LOCKS, setup.scratch, hosts, process)
    sys.path[:0] = [path for path in setup.paths if path not in sys.path]


def described(scorer: Scorer) -> dict[str, Any]:
    """Say what a scorer is, as JSON."""
    return {
        "name": scorer.name,
        "version": scorer.version,
        "level": scorer.level,
        "kind": scorer.kind,
        "options": dict(scorer.options),
        "hosts": list(scorer.needed_hosts),
        "expects": list(scorer.expects),
        "summary": scorer.summary,
        "judges": scorer.is_judge,
        "pins": dict(scorer.pins),
    }


def _judged(scorer: Scorer | None, subject: Subject) -> Score:
    assert scorer is not None
    process.begin(CaseState(subject.case.case_id))
    score = scorer.score(subject)
    violations = process.end()
    if violations:
        return failure(_tried(violations), (subject.run.turn_id,))
    return score


def _judged_set(scorer: Scorer | None, subjects: Iterator[Subject]) -> Score:
    assert scorer is not None
    process.begin(CaseState(""))
    score = scorer.score_set(subjects)
    violations = process.end()
    score = failure(_tried(violations)) if violations else score
    # What a scorer does not want to see must leave the pipe all the same.
    for _ in subjects:
        pass
    return score


def _pulled(reading: int, writing: int) -> Iterator[Subject]:
    while True:
        wire.write_message(writing, {"say": "next"})
        message = wire.read_message(reading)
        if message is None or message["subject"] is None:
            return
        yield wire.subject_of(message["subject"])


def _tried(violations: tuple[str, ...]) -> str:
    return f"The scorer tried to {'; '.join(dict.fromkeys(violations))}, which it may not."


def _refused() -> str:
    refused = process.end()
    process.phase = "import"
    return (
        f" While it was imported it tried to {'; '.join(dict.fromkeys(refused))}, which it may not."
        if refused
        else ""
    )


def _say(writing: int, index: int, score: Score) -> None:
    wire.write_message(writing, {"say": "score", "scorer": index, **asdict(score)})


if __name__ == "__main__":
    main()
    # A non-daemon thread of a scorer's must not keep the process.
    _leave(0)
