"""Where a policy asks for less than its level of exposure.

The rules:

1. What a level asks for stands in `schemas/exposure.json`. A policy may ask for more; for less only under a waiver of that very
   thing, which names no run and has not expired.
2. A level's own metrics are the built-in ones of that name, as they are: under other options, or another scorer's work under
   their name, they are not there. So are `disclosure` and `grounded`, where the level asks for what they judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from auditlog.schema_faults import Fault
from replay.gate.levels import Level, levels
from replay.gate.waivers import loosened
from replay.risks.taxonomy import SURFACES

_MOST = ("margin", "hard_bound", "most_diverged", "most_unfaithful", "most_unscored")
"""Figures that are stricter the lower they are."""
_LEAST = ("grounded", "completeness")
_ALPHA = 0.05


def looser(
    document: Mapping[str, Any], metrics: Mapping[str, tuple[str, ...]], today: date
) -> Iterator[Fault]:
    """Find where a policy asks for less than its level without a waiver.

    Args:
        document: the policy.
        metrics: the metrics that it judges by, by their role.
        today: the present day.
    """
    level = levels()[document["level"]]
    waived = loosened(document, today)
    for path, check, what, asked in _less(document, level, metrics):
        if check not in waived:
            yield Fault(
                path,
                f"{what} is looser than level {level.number} ({level.name}) asks for: {asked}. "
                f'Ask for as much, or write a [[waiver]] with check = "{check}"',
            )


def _less(
    document: Mapping[str, Any], level: Level, metrics: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[tuple[str | int, ...], str, str, str]]:
    """Give the place, what would waive it, what is asked for, and what the level asks for."""
    for name in _MOST:
        most = getattr(level, name)
        if most is not None and document.get(name, 0) > most:
            yield (name,), name, f"{name} {document[name]}", f"at most {most}"
    for name in _LEAST:
        least = getattr(level, name)
        if isinstance(least, float) and document.get(name, 1) < least:
            yield (name,), name, f"{name} {document[name]}", f"at least {least}"
    if level.margin is not None:
        for name, margin in document.get("margins", {}).items():
            if margin > level.margin and name in metrics["primary"]:
                asked = f"at most {level.margin}"
                yield ("margins", name), "margin", f"margin {margin} of '{name}'", asked
    if document.get("alpha", 0) > _ALPHA:
        yield ("alpha",), "alpha", f"alpha {document['alpha']}", f"at most {_ALPHA}"
    attacks = document.get("adversarial", {})
    if not set(level.adversarial) <= set(attacks.get("lists", level.adversarial)):
        lists = ", ".join(level.adversarial)
        yield ("adversarial", "lists"), "adversarial", "this list of lists", lists
    if attacks.get("coverage", 1) < 1 and level.adversarial:
        yield ("adversarial", "coverage"), "adversarial", "coverage below 1", "every entry tried"
    missing = [surface for surface in SURFACES if surface not in attacks.get("surfaces", SURFACES)]
    if missing and level.adversarial:
        what = f"attacks without those by {', '.join(missing)}"
        yield ("adversarial", "surfaces"), "adversarial.surfaces", what, ", ".join(SURFACES)
    yield from _governing(document, level)
    for role, least in (("hard", level.hard), ("primary", level.primary)):
        missing = [name for name in least if name not in metrics[role]]
        if missing:
            what = f"a policy without {', '.join(missing)} among its {role} metrics"
            yield ("metrics", role), f"metrics.{role}", what, ", ".join(least)
        for index, entry in enumerate(document.get("scorer", ())):
            name = entry.get("name", entry["use"])
            if name in least and entry.get("options"):
                what = f"'{name}' with options of its own"
                asked = f"'{name}' as it is; give yours another name and add it"
                yield ("scorer", index, "options"), f"metrics.{role}", what, asked


def _governing(
    document: Mapping[str, Any], level: Level
) -> Iterator[tuple[tuple[str | int, ...], str, str, str]]:
    """Give the scorers by which a level's own demands are judged, where options blunt them."""
    asked = {"disclosure": level.disclosure, "grounded": isinstance(level.grounded, float)}
    for index, entry in enumerate(document.get("scorer", ())):
        name = entry.get("name", entry["use"])
        if asked.get(name) and (entry.get("options") or entry["use"] != name):
            what = f"'{name}' with options of its own"
            least = f"'{name}' as it is; give yours another name and add it"
            yield ("scorer", index, "options"), name, what, least
