"""Takes personal data and secrets out of records before they are written.

    auditlog.configure("./audit", redact=True)

The recording path imports this package only where redaction is on. See docs/redaction.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditlog.redaction.kinds import Kind, known_kinds
    from auditlog.redaction.recogniser import Found, Recogniser
    from auditlog.redaction.redactor import Redactor
    from auditlog.redaction.settings import for_store
    from auditlog.redaction.subject import subject_tokens
    from auditlog.redaction.token import TOKEN

__all__ = ["TOKEN", "Found", "Kind", "Recogniser", "Redactor", "for_store", "known_kinds", "subject_tokens"]

_HOME = {
    "TOKEN": "token",
    "Found": "recogniser",
    "Kind": "kinds",
    "Recogniser": "recogniser",
    "Redactor": "redactor",
    "for_store": "settings",
    "known_kinds": "kinds",
    "subject_tokens": "subject",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'auditlog.redaction' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"auditlog.redaction.{_HOME[name]}"), name)
    globals()[name] = value
    return value
