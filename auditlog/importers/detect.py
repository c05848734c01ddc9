"""Knows the shapes of files that can be imported, and recognises one by what is in it.

The rules:

1. A shape is recognised by content, never by a file's name.
2. A file of no known shape is an error that names the nearest shape, what it lacks of it, and every accepted shape.
3. Other packages add shapes through the entry-point group `auditlog.importers`: each entry point is a `Shape`. They
   are asked after ours, and loaded only when ours do not fit or one is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from auditlog.errors import ImportFileError
from auditlog.importers.reading import SourceFile
from auditlog.wording import nearest_hint

GROUP = "auditlog.importers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of file that can be imported."""

    name: str
    """What `--format` calls it."""
    title: str
    """What a message calls it."""
    keys: frozenset[str]
    """The keys that its outermost object has; those of its first item, where it is an array."""
    array: bool = False
    """Whether the file is one JSON array of such objects."""
    lines: bool = False
    """Whether the file may hold one such object on each line."""
    records: Callable[[SourceFile, Mapping[str, str], Callable[[str], object]], Iterator[bytes]]
    """Gives the records of a file; takes the caller's tags and a function that is told what was skipped."""

    def fits(self, source: SourceFile) -> bool:
        """Say whether a file is of this shape."""
        samples = self._samples(source)
        return bool(samples) and all(self.keys <= keys for keys in samples)

    def likeness(self, source: SourceFile) -> float:
        """Say how much of this shape a file has, 0 to 1."""
        samples = self._samples(source) or _any_samples(source)
        return max((len(self.keys & keys) / len(self.keys) for keys in samples), default=0.0)

    def lacking(self, source: SourceFile) -> str:
        """Say what a file that is nearest to this shape lacks of it."""
        samples = self._samples(source)
        if not samples:
            return f"it is {'an array' if self.array else 'an object'} there"
        missing = sorted(self.keys - min(samples, key=len))
        return f"it has {' and '.join(f'`{key}`' for key in missing)} there"

    def _samples(self, source: SourceFile) -> list[set[str]]:
        """Give the keys of the objects that would carry the shape; empty where the file is built otherwise."""
        documents = source.documents
        if self.array:
            items = documents[0] if len(documents) == 1 else None
            return (
                [set(item) for item in items[:3] if isinstance(item, dict)] if isinstance(items, list) else []
            )
        if len(documents) > 1 and not self.lines:
            return []
        return [set(document) if isinstance(document, dict) else set() for document in documents]


def _any_samples(source: SourceFile) -> list[set[str]]:
    found = source.documents[0]
    found = found[0] if isinstance(found, list) and found else found
    return [set(found)] if isinstance(found, dict) else []


def _tau2(source: SourceFile, tags: Mapping[str, str], skip: Callable[[str], object]) -> Iterator[bytes]:
    from auditlog.importers import tau2

    return tau2.records(source.documents[0], tags, skip=skip)


def _tau1(source: SourceFile, tags: Mapping[str, str], skip: Callable[[str], object]) -> Iterator[bytes]:
    from auditlog.importers import tau1

    document = source.documents[0]
    return tau1.records(document, tags, file_stem=source.stem, start_ns=source.modified_ns, skip=skip)


def _otlp_json(source: SourceFile, tags: Mapping[str, str], skip: Callable[[str], object]) -> Iterator[bytes]:
    from auditlog.importers import otlp_json

    return otlp_json.records(source.documents, tags, skip=skip)


SHAPES = (
    Shape(
        name="tau2",
        title="τ²-bench results",
        keys=frozenset({"info", "simulations"}),
        records=_tau2,
    ),
    Shape(
        name="tau1",
        title="τ-bench results",
        keys=frozenset({"task_id", "reward", "traj"}),
        array=True,
        records=_tau1,
    ),
    Shape(
        name="otlp-json",
        title="OpenTelemetry traces as JSON",
        keys=frozenset({"resourceSpans"}),
        lines=True,
        records=_otlp_json,
    ),
)


def detect_shape(source: SourceFile, wanted: str | None = None) -> Shape:
    """Find the shape of a file.

    Args:
        source: the file.
        wanted: the name of the shape that it must have; None to find out.

    Raises:
        ImportFileError: it is of no known shape or not of the wanted one, or a plug-in cannot be loaded.
    """
    if wanted is not None:
        shape = _named(wanted)
        if shape.fits(source):
            return shape
        what = f"{shape.title} ({shape.name})"
        msg = f"{source.path} is not {what}: {shape.lacking(source)}. Leave out the format to detect it."
        raise ImportFileError(msg)
    candidates = [*SHAPES]
    for shape in candidates:
        if shape.fits(source):
            return shape
    for point in _plugins():
        shape = _loaded(point)
        if shape.fits(source):
            return shape
        candidates.append(shape)
    raise ImportFileError(_unknown(source, candidates))


def shape_names() -> list[str]:
    """Give the names of all shapes, ours first, without loading a plug-in."""
    return [*(shape.name for shape in SHAPES), *(point.name for point in _plugins())]


def _named(name: str) -> Shape:
    for shape in SHAPES:
        if shape.name == name:
            return shape
    for point in _plugins():
        if point.name == name:
            return _loaded(point)
    names = shape_names()
    hint = nearest_hint(name, names)
    msg = f"There is no format {name!r} to import.{hint} The formats are {', '.join(names)}."
    raise ImportFileError(msg)


def _plugins() -> list[EntryPoint]:
    ours = {shape.name for shape in SHAPES}
    return [point for point in sorted(entry_points(group=GROUP)) if point.name not in ours]


def _loaded(point: EntryPoint) -> Shape:
    try:
        shape: Any = point.load()
    except Exception as error:
        what = f"The importer {point.name!r} ({point.value})"
        msg = f"{what} cannot be loaded: {error!r}. Repair or uninstall its package."
        raise ImportFileError(msg) from error
    if not isinstance(shape, Shape):
        msg = (
            f"The importer {point.name!r} ({point.value}) is a {type(shape).__name__}, and must be an "
            "auditlog.importers.Shape. Repair or uninstall its package."
        )
        raise ImportFileError(msg)
    return shape


_NOT_YET = {
    "resourceLogs": "OpenTelemetry logs",
    "resourceMetrics": "OpenTelemetry metrics",
}


def _unknown(source: SourceFile, candidates: list[Shape]) -> str:
    accepted = "; ".join(f"{shape.title} ({shape.name})" for shape in candidates)
    known = next((_NOT_YET[key] for keys in _any_samples(source) for key in keys if key in _NOT_YET), None)
    if known is not None:
        return f"{source.path} holds {known}, which are not imported. Export the traces. Accepted are: {accepted}."
    nearest = max(candidates, key=lambda shape: shape.likeness(source))
    if nearest.likeness(source) > 0:
        near = f" The nearest is {nearest.title} ({nearest.name}); {nearest.lacking(source)}."
    else:
        near = " Nothing in it is like any of them."
    return f"{source.path} is of no shape that can be imported.{near} Accepted are: {accepted}."
