"""The process's recorder: set up once, reached by every decorator.

The rules:

1. Before `configure` (or `AUDITLOG_STORE`), decorators do nothing, and say so once in the log.
2. Configuring again replaces the recorder; what the old one held is written and let go first.
3. At exit the journal is closed, so that it can be sealed at once.
"""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from auditlog.errors import ConfigurationError, FormatError, StoreError
from auditlog.recorder import Recorder, log

ENVIRONMENT_VARIABLE = "AUDITLOG_STORE"


class _State:
    recorder: Recorder | None = None
    settled = False
    """The environment was looked at, or `configure` was called."""


_state = _State()


def configure(store: str | os.PathLike[str] | None = None, *, agent_version: str | None = None) -> None:
    """Record every decorated call of this process into a store.

    Args:
        store: the store's directory, made when it is not there; by default the environment variable AUDITLOG_STORE.
        agent_version: the version of the agents of this process, such as a release or a commit.

    Raises:
        ConfigurationError: no store is named, or it cannot be written.
    """
    from auditlog.journal import JournalWriter
    from auditlog.store import layout

    path = store if store is not None else os.environ.get(ENVIRONMENT_VARIABLE)
    if not path:
        msg = f"No store is named. Call auditlog.configure('./audit') or set {ENVIRONMENT_VARIABLE}=./audit."
        raise ConfigurationError(msg)
    try:
        layout.ensure(Path(path))
    except (OSError, StoreError, FormatError) as error:
        msg = f"The store {os.fspath(path)!r} cannot be used for recording: {error}"
        raise ConfigurationError(msg) from error
    use(Recorder(JournalWriter(Path(path) / "journal"), agent_version=agent_version))


def use(recorder: Recorder | None) -> None:
    """Make a recorder the process's own; None stops recording."""
    previous, _state.recorder, _state.settled = _state.recorder, recorder, True
    if previous is not None and previous is not recorder:
        previous.sink.close()


def recorder() -> Recorder | None:
    """Give the process's recorder; None where nothing is configured."""
    return _state.recorder if _state.settled else _settle()


def flush() -> bool:
    """Wait until everything recorded so far is on the disk; False when anything is missing or not durable."""
    return _state.recorder.flush() if _state.recorder is not None else True


def shutdown() -> None:
    """Write what is left, close the journal, and stop recording."""
    use(None)


def _settle() -> Recorder | None:
    _state.settled = True
    if os.environ.get(ENVIRONMENT_VARIABLE):
        try:
            configure()
        except ConfigurationError as error:
            log.warning("auditlog records nothing: %s", error)
    else:
        log.warning(
            "auditlog records nothing: call auditlog.configure('./audit') or set %s.", ENVIRONMENT_VARIABLE
        )
    return _state.recorder


def _close() -> None:
    if _state.recorder is not None:
        _state.recorder.sink.close()


atexit.register(_close)
