"""Every error that auditlog raises on purpose.

The rules:

1. One base class, so that `except AuditlogError` catches what this package says and nothing else.
2. A message says what was wrong, where, what was nearest, and what to do.
3. The recording path raises none of these into the agent, but for RecordingError where `on_failure` asks for it; only
   configuration, reading and the command line do.
"""

from __future__ import annotations


class AuditlogError(Exception):
    """The base of every error that auditlog raises on purpose."""


class ConfigurationError(AuditlogError):
    """A setting or decorator argument has no meaning."""


class RecordingError(AuditlogError):
    """A call could not be recorded, and `configure(on_failure="raise")` or `"fail_closed"` asks for this error."""


class StoreError(AuditlogError):
    """A path is not a store, or the store cannot be read or written."""


class ContentKeyError(StoreError):
    """What is asked for is encrypted, and the content key is not here."""


class DamageError(StoreError):
    """A file of the store is not what was sealed; the message names it."""


class FormatError(AuditlogError):
    """A file was written by a newer version, or is not what its name says."""


class FilterError(AuditlogError):
    """A filter, a point in time or a query does not parse."""


class NotFoundError(AuditlogError):
    """No conversation, span, run or tool has the name that was asked for."""


class ImportFileError(AuditlogError):
    """A file to import is unreadable or of no known shape."""
