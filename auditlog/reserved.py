"""What only this program says in a record, and what becomes of it where somebody else says it.

The rules:

1. Attributes under `auditlog.replay.` say which run a span belongs to, and records of kind `other` named `replay_…` are what
   runs, scores, verdicts and attacks are read from: whoever could write them could write a verdict.
2. What a foreign instrumentation says under these names is kept under others: `auditlog.foreign.replay.…`,
   `foreign:replay_…`.
3. A file that is imported may hold replays that our own exporter wrote. They stay replays, and are nobody's traffic; they belong
   to the run `imported:RUN`, of which nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ATTRIBUTES = "auditlog.replay."
"""How the attributes begin that say which run a span belongs to."""
RECORDS = "replay_"
"""How the names of a run's own records begin, which are of kind `other`."""

_RUN = "auditlog.replay.run_id"
_FOREIGN = "foreign"
_IMPORTED = "imported"


def foreign_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give a foreign span's attributes, with what is reserved under other names."""
    return {
        f"auditlog.{_FOREIGN}.{name.removeprefix('auditlog.')}"
        if name.startswith(ATTRIBUTES)
        else name: value
        for name, value in attributes.items()
    }


def foreign_name(kind: str, name: str) -> str:
    """Give a foreign span's name."""
    return f"{_FOREIGN}:{name}" if is_reserved(kind, name) else name


def imported_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give an imported span's attributes: a replay's belong to a run of which nothing is read."""
    if not any(name.startswith(ATTRIBUTES) for name in attributes):
        return dict(attributes)
    run = str(attributes.get(_RUN, ""))
    return {**attributes, _RUN: run if run.startswith(f"{_IMPORTED}:") else f"{_IMPORTED}:{run}"}


def imported_name(kind: str, name: str) -> str:
    """Give an imported span's name."""
    return f"{_IMPORTED}:{name}" if is_reserved(kind, name) else name


def is_reserved(kind: str, name: str) -> bool:
    """Whether only this program gives records of this kind this name."""
    return kind == "other" and name.startswith(RECORDS)
