"""Starts a worker in an environment that is not this command's: that of a commit, made from its lock.

The rules:

1. `auditlog` and `replay` are always ours, whatever version the commit pins: the locks and the talk with the run are theirs.
2. What else the worker needs comes from the environment where it has it, and is lent where not; nothing else is lent, so
   that an agent cannot import what its own lock does not name.
3. No code of the environment runs before the locks are taken: what the worker needs of it is imported behind those of the
   kernel, and Python starts without `site`, whose `.pth` files and `sitecustomize` are read by `main` of the worker, behind all.

Started as `python -P -S bootstrap.py ROOT SITE LENT READ WRITE PARENT`; it imports nothing but Python's own.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import runpy
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

OURS = ("auditlog", "replay")
LENT = ("opentelemetry", "orjson", "rapidfuzz", "typing_extensions", "time_machine", "_time_machine")
"""What the worker needs besides, by import name."""
LENT_PROJECTS = ("opentelemetry-api", "orjson", "rapidfuzz", "typing-extensions")
"""The same by the names of their distributions."""


class _From(importlib.abc.MetaPathFinder):
    """Finds some top-level packages in some directories, and no others."""

    def __init__(
        self, directories: Sequence[str], names: Iterable[str], projects: Iterable[str] = ()
    ) -> None:
        self._directories = list(directories)
        self._names = frozenset(names)
        self._projects = frozenset(projects)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - as Python calls it
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a package."""
        if fullname not in self._names:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, self._directories, target)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterator[importlib.metadata.Distribution]:
        """Give the metadata of what is lent: libraries ask for their own version."""
        wanted = None if context is None else context.name
        for project in self._projects:
            if wanted is None or wanted.lower().replace("_", "-") == project:
                stem = project.replace("-", "_")
                for directory in self._directories:
                    for found in Path(directory).glob(f"{stem}-*.dist-info"):
                        yield importlib.metadata.PathDistribution(found)


def main() -> None:
    """Put the paths in order, and become the worker."""
    root, site, lent, *rest = sys.argv[1:]
    sys.meta_path.insert(0, _From([root], OURS))
    reading, _, parent = (int(argument) for argument in rest)
    importlib.import_module("replay.running.first").begin(reading, parent)
    sys.path.append(site)
    if lent:
        sys.meta_path.append(_From(lent.split(os.pathsep), LENT, LENT_PROJECTS))
    sys.argv = ["replay.running.worker", *rest]
    # As `python -m replay.running.worker` would: what it is is known above this package.
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
