"""`auditlog doctor`: says what is wrong with this set-up, and how to mend it."""

from __future__ import annotations

import os

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice
from auditlog.cli.options import store_option
from auditlog.cli.output import narrate, print_line, styled, terminal_width
from auditlog.safe_text import safe_text, wrap

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}
_MARGIN = 24


@click.command()
@format_choice("text", "json")
@store_option
def doctor(format: str, store: str) -> None:
    """Say what is wrong with this set-up, and how to mend it.

    Exits with 1 where something is.
    """
    from auditlog.cli.checkup import findings
    from auditlog.cli.formats import json_text

    found = list(findings(store, os.environ))
    if format == "json":
        print_line(json_text([finding._asdict() for finding in found], indent=True))
    else:
        room = max(20, terminal_width() - _MARGIN)
        for finding in found:
            head = f"{finding.grade:<6} {finding.subject:<16} "
            lines = wrap(safe_text(finding.text), room)
            lines += (
                [
                    f"→ {line}" if at == 0 else f"  {line}"
                    for at, line in enumerate(wrap(safe_text(finding.mend), room - 2))
                ]
                if finding.mend
                else []
            )
            print_line(styled(head, fg=_COLOURS[finding.grade]) + lines[0])
            for line in lines[1:]:
                print_line(" " * _MARGIN + line)
    wrong = sum(finding.grade == "wrong" for finding in found)
    if wrong:
        narrate(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong.")
        raise click.exceptions.Exit(Exit.NO)
    narrate("Nothing is wrong.")
