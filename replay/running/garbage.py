"""Collections of garbage while a run goes on.

The rules:

1. What was there before the run outlives it: a collection looks only at what the run made. A program that holds a store's
   list of conversations would else be looked through again and again for nothing.
2. Who has frozen what it holds for reasons of its own finds it frozen.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def only_of_the_run() -> Iterator[None]:
    """Have collections leave alone what is there already."""
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
