"""Finds the files that travel with the package: `schemas`, `sample_traces`, `examples`.

The rules:

1. In a wheel they lie in `auditlog/bundled/`; in a checkout or an editable install, beside the package.
2. Nothing else in the project knows where they lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from auditlog.errors import StoreError

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Give the directory of bundled files called `name`.

    Raises:
        StoreError: the installation lacks it.
    """
    for parent in (_PACKAGE / "bundled", _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    msg = f"This installation lacks the directory {name!r}. Install auditlog-replay again."
    raise StoreError(msg)


def schema(name: str) -> Any:
    """Read `schemas/<name>.json`."""
    return orjson.loads((directory("schemas") / f"{name}.json").read_bytes())
