"""The regression set: recorded turns that must go on going right, with what is expected of each.

The rules:

1. A case is a recorded turn of this store, by its id, and its expectations. Both are records, so that the ledger signs them.
2. Every change is a version with a digest, and none is overwritten.
3. A case is judged by what a candidate did in a replay of it, never by its words alone.

Public names are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "CaseVerdict": "judging",
    "Expectations": "expectations",
    "Promoted": "keeping",
    "RegressionCase": "keeping",
    "RegressionResults": "judging",
    "RegressionSet": "keeping",
    "add": "keeping",
    "load_set": "keeping",
    "plan_set": "running",
    "remove": "keeping",
    "results_of": "judging",
    "run_set": "running",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - one list of names


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _WHERE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
