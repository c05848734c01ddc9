"""What both sides of a run were, in words, and which of their overrides reached nothing.

The rules:

1. Everything is read from the run's record: the repository, the manifest and the environment may be gone.
2. A side that is no more than `module:attribute` needs no more words than that.
3. An override that no case reached is said, with what the agent asked for instead: a name that is misspelt replaces nothing.
4. What a repository or manifest says of itself is text from elsewhere, and made safe by whoever shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.wording import nearest_hint
from replay.running.records import OVERRIDDEN
from replay.targets.planned import PlannedTarget, target_from_json

if TYPE_CHECKING:
    from auditlog.store import Store

_ARMS = ("candidate", "baseline")
_MOST_NAMED = 5


class Side(NamedTuple):
    """One side of a run."""

    arm: str
    lines: tuple[str, ...]
    """What it was, a line for each thing; none where its name says it all."""


def label_of(target: Any) -> str:
    """Name a side in a few words, for a list.

    Args:
        target: what a run's record holds of it.
    """
    return target_from_json(target).label if isinstance(target, Mapping) else str(target)


def sides_of(manifest: Mapping[str, Any]) -> tuple[Side, ...]:
    """Say what a run's sides were."""
    targets = ((arm, manifest.get(arm)) for arm in _ARMS)
    return tuple(
        Side(arm, tuple(_lines(target_from_json(target))))
        for arm, target in targets
        if isinstance(target, Mapping)
    )


def unreached(store: Store, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which overrides reached nothing in the cases that are done.

    Args:
        store: where the run is.
        manifest: its record.
    """
    said: list[str] = []
    for arm in _ARMS:
        target = manifest.get(arm)
        if not isinstance(target, Mapping) or not target.get("overrides"):
            continue
        overrides = target_from_json(target).overrides
        missing = set(overrides.labels)
        condition = "replay_run_id = ? AND replay_arm = ? AND kind = 'agent' AND replay_status IS NOT NULL"
        ran = False
        for span in store.spans(condition, [manifest["run_id"], arm]) if missing else ():
            ran = True
            found = span.attributes.get(OVERRIDDEN)
            missing.difference_update(found if isinstance(found, list) else ())
            if not missing:
                break
        if missing and ran:
            replaced, run_id = dict(overrides.models), str(manifest["run_id"])
            said += [_missed(store, run_id, arm, label, replaced, missing) for label in sorted(missing)]
    return tuple(said)


def _lines(target: PlannedTarget) -> Iterator[str]:
    code, packages = target.code, target.packages
    if code is not None:
        of = commit = code.commit[:8]
        if not code.revision:
            of = f"the working tree over {commit}"
        elif not code.commit.startswith(code.revision):
            of = f"{code.revision} = {commit}"
        yield f"{code.repository}: {of}{f' “{code.subject}”' if code.subject else ''}"
        if code.changed:
            names = ", ".join(code.changed_names[:_MOST_NAMED])
            yield f"uncommitted: {names}{f' and {code.changed - _MOST_NAMED} more' if code.changed > _MOST_NAMED else ''}"
    if target.spec:
        lock = (
            f"{packages.lock} {packages.lock_digest[:8]}" if packages.lock else "the packages of the command"
        )
        version = f", agent version {target.version}" if target.version else ""
        yield f"Python {packages.python}, {lock} ({packages.installed} installed){version}"
    overrides = target.overrides
    if overrides.models:
        yield "models: " + ", ".join(f"{old} → {new}" for old, new in overrides.models)
    if overrides.prompts:
        yield "prompts: " + ", ".join(
            f"{p.name}{f'@{p.version}' if p.version else ''}" for p in overrides.prompts
        )
    for tool in overrides.tools:
        parts = [
            *(["description"] if tool.description is not None else []),
            *(["parameters"] if tool.parameters is not None else []),
            *([f"run by {tool.replace}"] if tool.replace is not None else []),
        ]
        yield f"tool {tool.name}: {', '.join(parts)}"
    if target.env or target.variables:
        yield "environment: " + ", ".join(
            [*target.env, *(f"{name}={value}" for name, value in target.variables)]
        )


def _missed(
    store: Store, run_id: str, arm: str, label: str, replaced: Mapping[str, str], missing: Collection[str]
) -> str:
    kind, _, name = label.partition(" ")
    if kind == "model":
        condition = "replay_run_id = ? AND replay_arm = ? AND kind = 'model' AND model_requested IS NOT NULL"
        named = _names(store, "model_requested", condition, run_id, arm)
        # What was put in the place of a name is not what the agent asked for.
        asked = [found for found in named if found not in replaced.values()]
        asked += [old for old in replaced if old != name and f"model {old}" not in missing]
        hint = (
            f" It asked for {', '.join(asked[:_MOST_NAMED])}." if asked else " It asked for no model by name."
        )
        return f"The {arm} never asked for the model {name!r}, so nothing was put in its place.{hint}"
    if kind == "prompt":
        condition = "replay_run_id = ? AND replay_arm = ? AND prompt_name IS NOT NULL"
        asked = _names(store, "prompt_name", condition, run_id, arm)
        hint = nearest_hint(name, asked)
        return f"The {arm} never asked for the prompt {name!r} (auditlog.prompt), so nothing was put in its place.{hint}"
    return (
        f"The {arm} never told a model of the tool {name!r} and never ran it, so nothing of it was replaced."
    )


def _names(store: Store, column: str, condition: str, run_id: str, arm: str) -> list[str]:
    found = store.query(
        f"SELECT DISTINCT {column} AS name FROM all_spans WHERE {condition} ORDER BY 1", [run_id, arm]
    )
    return [str(row["name"]) for row in found.to_pylist()]
