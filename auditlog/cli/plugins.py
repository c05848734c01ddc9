"""Finds the commands that other packages add, without importing them.

The rules:

1. A package adds a command through the entry-point group `auditlog.commands`; the first on the path wins.
2. Only the names are read here; a command is imported when it is used.
3. `importlib.metadata` would do this too, but importing it and reading every package's metadata takes longer than all
   the rest of `auditlog --help`: what it would find in installed packages is read from their files.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NamedTuple

from auditlog.errors import AuditlogError

GROUP = "auditlog.commands"
_SECTION = f"[{GROUP}]"


class Plugin(NamedTuple):
    """A command of another package."""

    name: str
    target: str
    """`module:attribute`."""
    package: str
    """The distribution that brings it, such as `auditlog_replay-0.1.0`."""

    def load(self) -> Any:
        """Import the command.

        Raises:
            AuditlogError: it does not import.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            msg = f"The command {self.name!r} does not import ({self.target}): {error}."
            raise AuditlogError(f"{msg} Install {self.package} again.") from error


def plugins() -> dict[str, Plugin]:
    """Give the commands of all installed packages, by name."""
    found: dict[str, Plugin] = {}
    for folder in sys.path:
        for package, text in _entry_points(folder or "."):
            for name, target in _of_section(text):
                found.setdefault(name, Plugin(name, target, package))
    return found


def _entry_points(folder: str) -> list[tuple[str, str]]:
    texts = []
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".dist-info"))
    except OSError:
        return []
    for name in names:
        try:
            # `pathlib` would be the dearest import of `--help`.
            with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                text = file.read()
        except (OSError, ValueError):
            continue
        if _SECTION in text:
            texts.append((name.removesuffix(".dist-info"), text))
    return texts


def _of_section(text: str) -> list[tuple[str, str]]:
    lines, inside = [], False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == _SECTION
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            lines.append((name.strip(), target.partition("[")[0].strip()))
    return lines
