"""The store: a directory of journals, sealed segments and the ledger that lists them.

The rules:

1. `Store` is the one way to read; nothing else in the project opens a segment, a journal or the ledger.
2. Importing this package costs nothing: whoever only records needs `auditlog.layout`, and neither DuckDB nor pyarrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditlog.ledger.ledger import Segment
    from auditlog.sealing.seal import SealReport
    from auditlog.store.store import Store

__all__ = ["SealReport", "Segment", "Store"]

_HOMES = {
    "SealReport": "auditlog.sealing.seal",
    "Segment": "auditlog.ledger.ledger",
    "Store": "auditlog.store.store",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
