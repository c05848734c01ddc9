"""What each level of exposure asks for, read from `schemas/exposure.json`.

The rules:

1. The table is data. A policy may ask for more than its level does; for less only with a waiver.
2. None asks for nothing; `report` is said, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from auditlog import resources


@dataclass(frozen=True, slots=True)
class Level:
    """One level of exposure."""

    number: int
    name: str
    owner: Literal["warn", "required"]
    completeness: float
    """The share of recorded turns that must be whole."""
    margin: float | None
    """By how much a primary metric may fall; None only reports."""
    hard_bound: float | None
    """The upper bound on the share of conversations with a hard violation."""
    grounded: float | Literal["report"] | None
    """The lower bound on the share of answers whose claims have a source."""
    escalation: float | None
    """The share of the hand-overs to a person that may be lost; None does not ask whether customers reach one."""
    drill_days: int | None
    """How long ago a live drill of that may be."""
    rollback_days: int | None
    """How long ago a rehearsal of the way back may be."""
    disclosure: bool
    """Whether customers must be told that they talk to a machine."""
    adversarial: tuple[str, ...]
    """The lists whose cells have to be tried."""
    most_diverged: float
    """The share of cases that may not have been served to their end."""
    most_unfaithful: float
    """The share of cases in which the baseline may stop short of its own recording."""
    most_unscored: float
    """The share of cases that a metric may leave unscored."""
    hard: tuple[str, ...]
    """The hard metrics that a policy of this level has at least."""
    primary: tuple[str, ...]
    """The primary metrics that it has at least."""


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{name: tuple(row[name]) for name in ("adversarial", "hard", "primary")}}


@cache
def levels() -> dict[int, Level]:
    """Give every level by its number."""
    table: dict[str, dict[str, Any]] = resources.schema("exposure")["levels"]
    return {int(number): Level(int(number), **_fields(row)) for number, row in table.items()}
