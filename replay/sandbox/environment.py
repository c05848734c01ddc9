"""The environment of a worker: what it needs to start and to reach a model, and no tool's credentials.

The rules:

1. A list of what is allowed, not of what is secret: a variable that nobody named is not there.
2. Variables for the model's client are named by the user (`--env OPENAI_API_KEY`).
3. HOME and the temporary directory are the worker's scratch directory, so that credential files are not found either.
4. Of PYTHONPATH only whole paths are kept: an empty or relative part is the agent's directory, whose `sitecustomize` would run
   before any lock.
5. Of a variable that is let through a run keeps a keyed digest of its value, and never the value: another value is another
   run. Of a credential it keeps nothing, since a key that was turned asks the same model.
6. Telemetry is off, so that it is not taken for a leak.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Mapping

from auditlog.http_secrets import is_secret

ALLOWED = (
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUTF8",
    "TZ",
    "VIRTUAL_ENV",
)


def value_digests(
    key: bytes, names: Iterable[str], environment: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Give keyed digests of what variables say, by name; of credentials, and of what is not set, none.

    Args:
        key: the store's.
        names: of the variables that are let through.
        environment: the parent's.
    """
    return tuple(
        (name, _digest(key, environment[name]))
        for name in sorted({*names})
        if name in environment and not is_secret(name, environment[name])
    )


def _digest(key: bytes, value: str) -> str:
    return hmac.digest(key, b"environment\0" + os.fsencode(value), "sha256")[:8].hex()


def scrubbed(environment: Mapping[str, str], scratch: str, named: Iterable[str] = ()) -> dict[str, str]:
    """Give the environment of a worker.

    Args:
        environment: the parent's.
        scratch: the worker's own directory.
        named: further variables that the user lets through.
    """
    kept = {name: environment[name] for name in (*ALLOWED, *named) if name in environment}
    if "PYTHONPATH" in kept:
        whole = [part for part in kept["PYTHONPATH"].split(os.pathsep) if os.path.isabs(part)]  # noqa: PTH117 - as text
        kept["PYTHONPATH"] = os.pathsep.join(whole)
    return {
        # The order of a set of texts is a draw, too; both arms have the same, unless whoever runs named another.
        "PYTHONHASHSEED": "0",
        **kept,
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "OTEL_SDK_DISABLED": "true",
    }
