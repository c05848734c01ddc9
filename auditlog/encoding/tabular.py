"""Arrays, scalars and tables of numpy, pandas, polars and pyarrow, as JSON.

The rules:

1. An array of numbers is kept so that it can be made again: as lists while it is small, else as its bytes.
2. A table is a list of its rows, a series a list of its values; they are read, not made again, and so are lossy.
3. No library is imported here: what is asked is asked of the class of the value, which is loaded.
4. A table is cut at `MAX_CELLS`.
"""

from __future__ import annotations

import base64
import collections
import sys
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.encoding.encode import MARK, is_json, type_name

if TYPE_CHECKING:
    from auditlog.encoding.substitution import Written, _Walk

MAX_CELLS = 1_000_000
"""How many values of a table are kept; each row counts as one more."""
MAX_LISTED = 10_000
"""An array of more items is written as its bytes."""


def tabular(walk: _Walk, value: Any, kind: type, library: str, depth: int) -> Written | None:
    """Write a value of one of the libraries; None where it is none of the kinds that are known."""
    name = type_name(kind)
    if library == "numpy":
        return _numpy(walk, value, kind, depth)
    module: Any = sys.modules[library]
    frame, series = getattr(module, "DataFrame", None), getattr(module, "Series", None)
    if library == "pyarrow":
        frame, series = (module.Table, module.RecordBatch), (module.Array, module.ChunkedArray)
    if frame is not None and issubclass(kind, frame):
        rows, width = len(value), _width(value, library)
        kept = min(rows, MAX_CELLS // (width + 1))
        written = _written(walk, _rows(value, library, kept), depth)
        return walk.tagged(written, "table", type=name, **({"rows": rows} if kept < rows else {}))
    if series is not None and issubclass(kind, series):
        kept = value[:MAX_CELLS]
        items = kept.to_list() if library != "pyarrow" else kept.to_pylist()
        written = _written(walk, items, depth)
        more = {"rows": len(value)} if len(value) > MAX_CELLS else {}
        return walk.tagged(written, "series", type=name, **more)
    if library == "pandas" and hasattr(kind, "isoformat"):
        return walk.tagged(str(value), "moment", type=name)
    return walk.tagged({MARK: "object", "type": name}, "object")


def _numpy(walk: _Walk, value: Any, kind: type, depth: int) -> Written | None:
    numpy: Any = sys.modules["numpy"]
    if issubclass(kind, numpy.ndarray):
        numeric = value.dtype.kind in "biufc"
        exact = numeric and kind is numpy.ndarray
        if numeric and value.size > MAX_LISTED:
            shape, dtype = [int(n) for n in value.shape], value.dtype.str
            content = base64.b64encode(numpy.ascontiguousarray(value)).decode()
            mark = {MARK: "ndarray", "dtype": dtype, "shape": shape, "base64": content}
            return walk.tagged(mark, "ndarray" if exact else f"subclass of ndarray ({type_name(kind)})")
        items = numpy.ndarray.tolist(
            numpy.asarray(value) if numeric else numpy.asarray(value).reshape(-1)[:MAX_CELLS]
        )
        written = _written(walk, items, depth)
        return walk.tagged(
            written,
            "ndarray" if exact and value.dtype.kind != "c" else "array",
            type=type_name(kind),
            dtype=value.dtype.str,
            shape=[int(n) for n in value.shape],
        )
    if issubclass(kind, numpy.generic):
        dtype = value.dtype.str
        written, _ = walk.plain(
            numpy.generic.item(value) if value.dtype.kind in "biufU" else str(value), depth + 1
        )
        return walk.tagged(written, "number" if value.dtype.kind in "biufU" else "scalar", dtype=dtype)
    return None


def _written(walk: _Walk, items: Any, depth: int) -> Any:
    """Write what a library gave: nearly always JSON as it stands."""
    if is_json(items):
        return orjson.Fragment(orjson.dumps(items))
    written, _ = walk.plain(items, depth + 1)
    return written


def _width(value: Any, library: str) -> int:
    return value.num_columns if library == "pyarrow" else len(value.columns)


def _rows(value: Any, library: str, kept: int) -> Any:
    match library:
        case "pandas":
            shown = value.iloc[:kept]
            if not value.columns.is_unique:
                shown = shown.set_axis(_apart(value.columns.to_list()), axis=1)
            return shown.to_dict(orient="records")
        case "polars":
            return value.head(kept).to_dicts()
        case _:
            shown = value.slice(0, kept)
            names = list(value.schema.names)
            if len(set(names)) < len(names):
                shown = shown.rename_columns(_apart(names))
            return shown.to_pylist()


def _apart(names: list[Any]) -> list[str]:
    """Give columns of one name a number each: no value is lost."""
    seen: collections.Counter[str] = collections.Counter()
    told = []
    for name in map(str, names):
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told
