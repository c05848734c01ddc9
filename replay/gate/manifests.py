"""Whether every process that worked on a run worked on the same run.

The rules:

1. A run that was interrupted has a manifest for each process. They differ in who ran it, and in nothing that a result rests
   on: the list of cases, how they were chosen, both targets, what was served.
2. A manifest that says something else is INCONCLUSIVE, whichever of them is read: somebody wrote it, or planned another run under
   the same id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from replay.gate.check import Check
from replay.gate.wording import number

_SAME = (
    "kind",
    "cases_digest",
    "config_digest",
    "repeats",
    "sample",
    "sampling",
    "where",
    "limit",
)


def planned_checks(manifests: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Compare all manifests of a run; one alone says nothing.

    Args:
        manifests: oldest first.
    """
    if len(manifests) < 2:
        return
    first = _rested_on(manifests[0])
    others = {
        name
        for manifest in manifests[1:]
        for name, value in _rested_on(manifest).items()
        if value != first[name]
    }
    title = "one plan"
    if others:
        yield Check(
            "run.manifests", "run", title, "INCONCLUSIVE",
            f"The {number(len(manifests), 'manifest')} of this run are not of one plan: they differ in "
            f"{', '.join(sorted(others))}. `auditlog verify` says whether the store was changed; run it anew.",
            figures={"manifests": len(manifests)}, waivable=False,
        )  # fmt: skip
    else:
        yield Check(
            "run.manifests", "run", title, "PASS", f"Its {number(len(manifests), 'manifest')} are of one plan.",
            figures={"manifests": len(manifests)}, waivable=False,
        )  # fmt: skip


def _rested_on(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give what results rest on."""
    targets = {side: _digest(manifest.get(side)) for side in ("candidate", "baseline")}
    return {**{name: manifest.get(name) for name in _SAME}, **targets}


def _digest(target: Any) -> Any:
    return target.get("digest") if isinstance(target, dict) else target
