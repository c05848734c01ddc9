"""Seeds the generators that agents use without asking: `random`, numpy's, and `uuid`'s random ids.

The rules:

1. They are seeded when a case begins, and the process runs one case at a time, so nothing of one case is in another's. Numpy
   that a case is the first to import is seeded then.
2. `uuid.uuid4` and `uuid1` are drawn from a generator of their own, so that an id more does not shift every random number
   after it. Where writes are live they are left alone: an id that comes again is taken for the same order.
3. `secrets` and `os.urandom` stay random: what is drawn there is meant to be secret.
"""

from __future__ import annotations

import random
import sys
import threading
import uuid
from typing import Any

from auditlog.late_import import when_imported

_lock = threading.Lock()
_seed: int | None = None
_number: int | None = None
"""The same for ids."""
_ids: random.Random | None = None
"""Made when the first id is asked for: most cases ask for none."""
_uuid4 = uuid.uuid4
_uuid1 = uuid.uuid1


def install() -> None:
    """Stand in for `uuid`'s functions; before the agent is imported, since it may take them by name."""
    uuid.uuid4, uuid.uuid1 = _seeded_uuid4, _seeded_uuid1
    when_imported("numpy", _seed_numpy)


def begin(number: int | None, *, ids: bool = True) -> None:
    """Seed for a case; None leaves everything as it is.

    Args:
        number: the seed.
        ids: whether `uuid` is seeded, too.
    """
    global _seed, _number, _ids
    _seed, _number, _ids = number, number if ids else None, None
    if number is None:
        return
    random.seed(number)
    if (numpy := sys.modules.get("numpy")) is not None:
        _seed_numpy(numpy)


def end() -> None:
    """Give random ids again."""
    begin(None)


def _seed_numpy(numpy: Any) -> None:
    if _seed is not None and hasattr(numpy, "random"):
        numpy.random.seed(_seed & 0xFFFF_FFFF)


def _drawn(version: int) -> uuid.UUID | None:
    global _ids  # noqa: PLW0603 - as above
    with _lock:
        if _number is None:
            return None
        if _ids is None:
            _ids = random.Random(_number + 1)  # noqa: S311 - repeatable on purpose
        return uuid.UUID(int=_ids.getrandbits(128), version=version)


def _seeded_uuid4() -> uuid.UUID:
    return _drawn(4) or _uuid4()


def _seeded_uuid1(*args: Any, **kwargs: Any) -> uuid.UUID:
    return _drawn(1) or _uuid1(*args, **kwargs)
