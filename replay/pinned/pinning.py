"""What a run holds still, as one value of its plan; and which executions share their randomness.

The rules:

1. An execution draws its randomness by the recorded turn and its repeat: the same repeat of candidate and baseline
   shares it, so that what differs between them is not chance; two repeats do not.
2. The second baseline draws for itself, and so does a control run's second arm. They are there to show how much a version
   disagrees with itself, and would show nothing if they threw the same dice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from auditlog.values import Json
from replay.errors import RunError

UNSEEDED = "none"
"""What one writes in place of a seed to leave random numbers alone."""


@dataclass(frozen=True, slots=True)
class Pinning:
    """What a run holds still."""

    seed: str = "0"
    """Goes into every draw; `none` leaves `random`, numpy and `uuid` as they are."""
    freeze_time: bool = False
    """`time` and `datetime` give the recorded turn's time, and go on from there."""
    looks: bool = False
    """A worker that is started to look at its target reads through the sources, too."""
    candidate_reads: tuple[str, ...] = ()
    """Where the candidate's own modules read what nothing pins: found when the run is planned, and no setting."""
    baseline_reads: tuple[str, ...] = ()
    """The same of the baseline's."""

    def settings(self) -> dict[str, Json]:
        """Give what the run's configuration is known by."""
        return {"seed": self.seed, "freeze_time": self.freeze_time}

    @property
    def seeds(self) -> bool:
        """Whether random numbers are seeded."""
        return self.seed != UNSEEDED


PINNED = Pinning()
"""What is held still where nobody says anything."""


def check(pinning: Pinning) -> Pinning:
    """Refuse what cannot be held still here.

    Raises:
        RunError: a clock is to be frozen, and what freezes it is not installed.
    """
    if pinning.freeze_time:
        try:
            import time_machine  # noqa: F401
        except ImportError:
            msg = "--freeze-time needs time-machine: pip install 'auditlog-replay[freeze]'. Or leave it out, and clocks go on."
            raise RunError(msg) from None
    return pinning


def pinning_from_json(fields_of: Mapping[str, Any]) -> Pinning:
    """Read back what `asdict` made; fields that this version does not know are left out."""
    known = {field.name for field in fields(Pinning)}
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields_of.items()
        if name in known
    }
    return replace(Pinning(), **found)


def draw_of(kind: str, arm: str, repeat: int) -> str:
    """Name the draw of an execution: executions of one recorded turn with one draw share their randomness.

    Args:
        kind: the run's, such as `replay` or `control`.
        arm: the execution's.
        repeat: which one of the case in this arm it is.
    """
    by_itself = arm == "baseline_2" or (kind == "control" and arm == "candidate")
    return f"{repeat}+" if by_itself else str(repeat)


def seed_number(seed: str, span_id: str, draw: str) -> int:
    """Give the number that an execution's generators are seeded with, of 64 bits.

    Args:
        seed: the run's.
        span_id: the recorded turn's.
        draw: which draw it is.
    """
    text = f"{seed}\0{span_id}\0{draw}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
