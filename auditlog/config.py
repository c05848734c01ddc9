"""The process's recorder: set up once, reached by every decorator.

The rules:

1. Before `configure` (or `AUDITLOG_STORE`), decorators do nothing, and say so once in the log.
2. Configuring again replaces the recorder; what the old one held is written and let go first.
3. At exit the journal is closed, so that it can be sealed at once: in the background, by a process that outlives this one.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from auditlog import background, masks
from auditlog.errors import ConfigurationError, FormatError, StoreError
from auditlog.recorder import Recorder, log

if TYPE_CHECKING:
    from auditlog.journal.policy import OnFailure
    from auditlog.layout import Layout
    from auditlog.redaction.redactor import Redactor

ENVIRONMENT_VARIABLE = "AUDITLOG_STORE"
POLICY_VARIABLE = "AUDITLOG_ON_FAILURE"


class _State:
    recorder: Recorder | None = None
    root: Path | None = None
    """The store to seal in the background."""
    settled = False
    """The environment was looked at, or `configure` was called."""


_state = _State()


def configure(
    store: str | os.PathLike[str] | None = None,
    *,
    agent_version: str | None = None,
    redact: bool | str | Iterable[str] | Redactor | None = None,
    reveal_key: str | None = None,
    on_failure: str | OnFailure | None = None,
    durable: bool = False,
    seal: bool | None = None,
    http: Literal["record"] | None = None,
) -> None:
    """Record every decorated call of this process into a store.

    Args:
        store: the store's directory, made when it is not there; by default the environment variable AUDITLOG_STORE.
        agent_version: the version of the agents of this process, such as a release or a commit.
        redact: what is taken out before it is written: True for the default kinds, names of kinds, or a Redactor; False
            for nothing; by default what the store's settings say.
        reveal_key: a public key; what is taken out is sealed to it, so that who holds the private key can reveal it.
        on_failure: what to do when a record cannot be written: `continue` (the default), `raise` or `fail_closed`, with
            `block(seconds)` and `spill(directory)` before it where wanted, such as `block(0.5), spill(/mnt/b), raise`; by
            default what the environment variable AUDITLOG_ON_FAILURE says.
        durable: whether the end of an agent's turn waits until the turn is on the disk, 5 seconds at most.
        seal: whether full journal files, and at exit the last, are sealed in the background, by a process of the lowest
            priority; by default they are, unless the environment variable AUDITLOG_SEAL says `off`.
        http: `record` to record HTTP that agents speak without a decorator around it, as `record_http()` does.

    Raises:
        ConfigurationError: no store is named, or it cannot be written; or a setting means nothing.
    """
    from auditlog import layout
    from auditlog.journal import JournalWriter, spill
    from auditlog.journal.policy import parse

    if http not in (None, "record"):
        msg = f"http={http!r} has no meaning: it is 'record', or left out."
        raise ConfigurationError(msg)
    path = store if store is not None else os.environ.get(ENVIRONMENT_VARIABLE)
    if not path:
        msg = f"No store is named. Call auditlog.configure('./audit') or set {ENVIRONMENT_VARIABLE}=./audit."
        raise ConfigurationError(msg)
    try:
        found = layout.ensure(Path(path))
    except (OSError, StoreError, FormatError) as error:
        msg = f"The store {os.fspath(path)!r} cannot be used for recording: {error}"
        raise ConfigurationError(msg) from error
    redactor = _redactor(found, redact, reveal_key)
    policy = parse(on_failure or os.environ.get(POLICY_VARIABLE) or "continue")
    if policy.spill is not None:
        own = spill.register(found.journal, layout.read_settings(found).id, policy.spill)
        policy = replace(policy, spill=own)
    root = found.root if (background.wanted() if seal is None else seal) else None
    on_full = None if root is None else functools.partial(background.start, root)
    writer = JournalWriter(found.journal, on_failure=policy, on_full=on_full)
    use(Recorder(writer, agent_version=agent_version, redactor=redactor, durable=durable))
    _state.root = root
    masks.record_into(found)
    if http is not None:
        from auditlog.http_calls import record_http

        record_http()


def _redactor(layout: Layout, redact: Any, reveal_key: str | None) -> Redactor | None:
    # RE2 and the patterns are loaded only where something is redacted.
    if redact is False or (redact is None and reveal_key is None and not _says_redaction(layout)):
        return None
    from auditlog.redaction.settings import for_store

    return for_store(layout, redact, reveal_key=reveal_key)


def _says_redaction(layout: Layout) -> bool:
    # TOML has many ways to write a table; whoever mentions one is asked what it says.
    return (layout.root / "keys" / "redaction.key").exists() or b"redaction" in layout.settings.read_bytes()


def use(recorder: Recorder | None) -> None:
    """Make a recorder the process's own; None stops recording."""
    previous, _state.recorder, _state.settled = _state.recorder, recorder, True
    root, _state.root = _state.root, None
    if recorder is None:
        masks.record_into(None)
    if previous is not None and previous is not recorder:
        _end(previous, root)


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
        _end(_state.recorder, _state.root, wait=False)


def _end(recorder: Recorder, root: Path | None, *, wait: bool = True) -> None:
    """Close a recorder's journal; have it sealed where there is one and something was written."""
    is_written = getattr(recorder.sink, "path", None) is not None
    recorder.sink.close()
    if root is not None and is_written:
        background.start(root, wait=wait)


atexit.register(_close)
