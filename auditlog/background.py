"""Starts the process that seals, so that no thread of an agent ever does.

The rules:

1. It is started when there is something to seal: by the journal's own thread when a file is full, at exit by whoever recorded,
   and by a reader that finds a file whose writer is gone. `configure(seal=False)` or AUDITLOG_SEAL=off starts none.
2. It runs at the lowest priority, in a session of its own, with no open file of ours; once it runs it is nobody's child, so
   that an agent that waits for its children never meets it.
3. While another one seals, none is started: that one looks again before it ends.
4. A start that fails is no failure of the recorder: what is not sealed yet is read all the same, and `auditlog doctor` tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "AUDITLOG_SEAL"
_KEY = "AUDITLOG_CONTENT_KEY"

_CHILD = """
import os, sys
if os.fork():
    os._exit(0)
os.nice(19)
from auditlog.store import Store
with Store.open(sys.argv[1]) as store:
    while store.seal(wait=False).sealed:
        pass
"""
_START_SECONDS = 5.0


def wanted() -> bool:
    """Say whether the environment lets a process be started."""
    return os.environ.get(VARIABLE, "").strip().lower() not in ("off", "0", "no", "false")


def start(root: Path, *, wait: bool = True) -> bool:
    """Seal a store in the background.

    Args:
        root: the store's directory.
        wait: whether to wait, some hundredths of a second, until the process is on its own; where this process is about to end,
            that needs no waiting.

    Returns:
        Whether a process was started.
    """
    executable = sys.executable or ""
    # In a server that brings its own interpreter, this would start another server.
    if "python" not in os.path.basename(executable).lower() or _is_sealing(root):  # noqa: PTH119 - a name, no file
        return False
    package = str(Path(__file__).resolve().parents[1])
    found = os.environ.get("PYTHONPATH")
    # The process runs elsewhere, and a key may be named from here.
    key = {name: os.path.abspath(os.environ[name]) for name in (_KEY,) if os.environ.get(name)}  # noqa: PTH100 - no path is had
    try:
        child = subprocess.Popen(
            [executable, "-c", _CHILD, str(root.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, **key, "PYTHONPATH": f"{found}{os.pathsep}{package}" if found else package},
            start_new_session=True,
        )
        if wait:
            child.wait(_START_SECONDS)
        else:
            # The interpreter would warn of a child that it leaves behind.
            child.returncode = 0
    except (OSError, ValueError, subprocess.SubprocessError, RuntimeError):
        return False
    return True


def start_for_reader(root: Path, *, wait: bool = True) -> bool:
    """Seal in the background what writers left behind, where there is any; say whether a process was started."""
    from auditlog.journal import is_live

    if not wanted():
        return False
    try:
        files = sorted((root / "journal").glob("*.wal"))
        left = any(not path.is_symlink() and path.is_file() and not is_live(path) for path in files)
    except OSError:
        return False
    return left and os.access(root / "ledger", os.W_OK) and start(root, wait=wait)


def _is_sealing(root: Path) -> bool:
    from auditlog.journal import is_live

    return is_live(root / "ledger" / "seal.lock")
