"""Asks before something is taken away for good.

The rules:

1. On a terminal a question is asked; `--yes` answers it. Where nobody can answer, `--yes` is needed.
2. `--dry-run` says what would go, asks nothing and changes nothing but what any reading does: it seals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from auditlog.cli.output import is_terminal, narrate
from auditlog.errors import AuditlogError
from auditlog.safe_text import safe_text

Decorated = Callable[..., Any]


def removal_options(command: Decorated) -> Decorated:
    """Add `--dry-run` and `--yes`."""
    dry_run = click.option("--dry-run", is_flag=True, help="Say what would go, and take nothing away.")
    return dry_run(click.option("--yes", is_flag=True, help="Ask nothing.")(command))


def reason_option(help: str, *, required: bool = False) -> Callable[[Decorated], Decorated]:
    """Add `--reason`; what it says stands in the ledger for ever."""
    return click.option("--reason", metavar="TEXT", default="", required=required, help=help)


def confirmed(question: str, *, yes: bool) -> bool:
    """Say whether to go on.

    Raises:
        AuditlogError: nobody can be asked.
    """
    if yes:
        return True
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise AuditlogError("This takes content away for good, and there is nobody here to ask. Say --yes.")
    if click.confirm(safe_text(question), default=False, err=True):
        return True
    narrate("Nothing was taken away.")
    return False


def size(count: int) -> str:
    """Give bytes as people read them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
