"""The list of a run's cases, in records of its own.

The rules:

1. A manifest says how many cases its run has, and its list's digest. The list lies in records beside it, written once, before
   the first manifest: whoever lists runs or looks for one reads no case.
2. A list is whole, or the run cannot be read: cases that are missing are said, and not left out.
3. A manifest of a version that had its list inside is read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlog.values import Json
from replay.errors import RunError
from replay.running.records import own_records, run_span

if TYPE_CHECKING:
    from auditlog.store import Store

CASES = "replay_cases"
"""The name of a record that holds some of a run's cases."""
CHUNK = 10_000
"""Cases that a record holds."""

_TURN: tuple[Any, ...] = (str, str, str, str, int, bool, str, (int, float))
_SHORTEST_TURN = 6
"""A case of the first format has no stratum and no weight."""
CASE_SHAPES = {**dict.fromkeys(("replay", "verify", "control", "fork"), _TURN), "compare": (str, str, str)}
"""What a case's line holds, by the kind of run."""


def without_cases(manifest: Mapping[str, Any]) -> dict[str, Json]:
    """Give what a manifest's own record holds."""
    return {name: value for name, value in manifest.items() if name != "cases"}


def case_records(manifest: Mapping[str, Any]) -> Iterator[bytes]:
    """Make the records that hold a manifest's cases."""
    lines = manifest["cases"]
    for first in range(0, len(lines), CHUNK):
        content: dict[str, Json] = {"first": first, "cases": list(lines[first : first + CHUNK])}
        yield run_span(CASES, str(manifest["run_id"]), content)


def are_kept(store: Store, run_id: str) -> bool:
    """Whether a run's cases lie in records of their own."""
    found = store.query(
        "SELECT 1 FROM all_spans WHERE kind = 'other' AND name = ? AND replay_run_id = ? LIMIT 1",
        [CASES, run_id],
    )
    return found.num_rows > 0


def case_count(manifest: Mapping[str, Any]) -> int:
    """Give how many cases a run has."""
    count = manifest.get("case_count")
    return count if isinstance(count, int) else len(manifest["cases"])


def with_cases(store: Store, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a manifest with its cases.

    Args:
        store: where they are.
        manifest: as `manifests` gave it.

    Raises:
        RunError: some of them are not there.
    """
    if "cases" in manifest:
        return manifest
    found: dict[int, Sequence[Any]] = {}
    for span in own_records(store, CASES, str(manifest["run_id"])):
        match span.input:
            case {"first": int(first), "cases": list(lines)}:
                found.setdefault(first, lines)
    lines = [line for _, part in sorted(found.items()) for line in part]
    if len(lines) != case_count(manifest) or not are_cases(lines, str(manifest["kind"])):
        msg = (
            f"The list of the cases of run {manifest['run_id']} is not whole: it had {case_count(manifest)}, and {len(lines)} "
            "can be read. `auditlog verify` says whether the store was changed."
        )
        raise RunError(msg)
    return {**manifest, "cases": lines}


def are_cases(lines: Sequence[Any], kind: str) -> bool:
    """Whether lines are those of cases of such a run."""
    shape = CASE_SHAPES.get(kind)
    return shape is not None and all(isinstance(line, list) and _fits(line, shape) for line in lines)


def _fits(line: list[Any], shape: tuple[Any, ...]) -> bool:
    whole = len(line) == len(shape) or (shape is _TURN and len(line) == _SHORTEST_TURN)
    return whole and all(map(isinstance, line, shape))
