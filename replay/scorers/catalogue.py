"""The scorers that there are: ours by a list, plug-ins by asking them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from replay.scorers.builtin import BUILT_IN
from replay.scorers.groups import describe
from replay.scorers.specs import ScorerSpec, imported, plugins


class Entry(NamedTuple):
    """One scorer, as a list shows it."""

    name: str
    level: str
    """Empty for one that does not load."""
    kind: str
    options: Mapping[str, str]
    """By name: the default as text, or `required`."""
    source: str
    """`built in`, or the package that brings it."""
    summary: str
    """What a score of 1 means, or why it does not load."""


def catalogue() -> list[Entry]:
    """Give every scorer that there is, ours first."""
    ours = [_ours(name) for name in BUILT_IN]
    theirs = [
        _theirs(plugin.name, plugin.package, describe((ScorerSpec(plugin.name),), (str(Path.cwd()),))[0])
        for plugin in plugins().values()
    ]
    return ours + theirs


def ready() -> list[str]:
    """Give the names of our scorers that say something without options, and ask no model."""
    found = []
    for name, entry in BUILT_IN.items():
        scorer = imported(name, entry.path)
        # A schema is asked for where there is one.
        needs = "required" in _options(scorer.function).values() or "schema" in _options(scorer.function)
        if not scorer.judges and not needs:
            found.append(name)
    return found


def _ours(name: str) -> Entry:
    entry = BUILT_IN[name]
    scorer = imported(name, entry.path)
    kind = "set" if scorer.kind == "set" else "execution"
    return Entry(name, entry.level, kind, _options(scorer.function), "built in", entry.summary)


def _theirs(name: str, package: str, said: Mapping[str, Any]) -> Entry:
    if "error" in said:
        return Entry(name, "", "", {}, package, str(said["error"]))
    kind = "set" if said["kind"] == "set" else "execution"
    return Entry(name, str(said["level"]), kind, {}, package, str(said["summary"]))


def _options(function: Any) -> dict[str, str]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {
        p.name: "required" if p.default is p.empty else repr(p.default)
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
