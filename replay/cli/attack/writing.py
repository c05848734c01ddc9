"""What `auditlog attack` prints of a campaign: what worked first, then what was covered.

The rules:

1. JSON is the whole campaign; a person sees the findings, then a line for each risk.
2. A cell is broken, flaky, held, or not tried: what was not tried is never written as held.
3. Words of attacks and of customers are made safe for a terminal.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from auditlog.cli.formats import json_text
from auditlog.cli.output import print_line, terminal_width
from auditlog.safe_text import safe_text, wrap
from auditlog.wording import many
from replay.attack.keeping import Campaign, KeptFinding
from replay.risks.taxonomy import SURFACES, taxonomies
from replay.risks.tried import Tried, by_state

_STATUSES = {
    "budget": "A budget ended it: what is below is not all.",
    "running": "It is under way: what it found is written when it is over.",
    "interrupted": "It was interrupted, and says nothing yet: `auditlog attack run --resume` goes on with it.",
}
_TITLES = 52
"""The cells in which a risk's id and title stand."""
_STATE_SIGNS = {"broken": "✗", "flaky": "~", "held": "✓", "untried": "·"}


def write_campaign(found: Campaign, *, as_json: bool) -> None:
    """Print a campaign."""
    if as_json:
        print_line(json_text(_as_json(found), indent=True))
        return
    against = f" against {safe_text(found.baseline)}" if found.baseline else ""
    print_line(
        f"Campaign {found.run_id}: {many(found.attacks, 'attack')} on {safe_text(found.candidate)}{against}"
    )
    if found.status != "complete":
        print_line(_STATUSES[found.status])
    for number, finding in enumerate(found.findings, 1):
        print_line()
        for line in _finding_lines(number, finding):
            print_line(line)
    if not found.findings and found.status in ("complete", "budget"):
        print_line("No attack worked." if found.attacks > found.unproven else "Nothing was tried.")
    if found.unconfirmed:
        print_line(
            f"{many(found.unconfirmed, 'attack')} worked and was not run again, for the budget was used up."
        )
    if found.flaky:
        print_line(f"{many(found.flaky, 'attack')} worked once and not twice in three.")
    if found.unproven:
        print_line(f"{many(found.unproven, 'attack')} showed nothing: the agent failed, or could not be run.")
        for why, count in found.why_unproven.items():
            print_line(f"  {count} × {safe_text(why, width=max(40, terminal_width() - 8))}")
    if found.cells:
        print_line()
        for line in _coverage_lines(found):
            print_line(line)


def write_coverage(found: Campaign, *, as_json: bool) -> None:
    """Print what a campaign covered."""
    if as_json:
        print_line(json_text(_as_json(found)["coverage"], indent=True))
        return
    for line in _coverage_lines(found):
        print_line(line)


def _finding_lines(number: int, finding: KeptFinding) -> Iterator[str]:
    width = max(40, terminal_width() - 4)
    sealed = " (sealed)" if finding.sealed else ""
    yield f"{number}. {finding.goal}: {safe_text(finding.detail, width=width)}"
    yield f"   {safe_text(finding.family)}{sealed}, {', '.join(map(safe_text, finding.risks))}, by the {finding.surface}"
    if finding.text is not None:
        yield f"   “{safe_text(finding.text, width=width)}”"
    how = f", said {', '.join(map(safe_text, finding.mutations))}" if finding.mutations else ""
    turn = safe_text(finding.host.get("conversation_id", ""))
    yield f"   worked {finding.reproduced} times of 3 in a turn of {turn}{how}"
    yield f"   `auditlog show {safe_text(finding.conversation_id)}` shows what the agent did"


def _coverage_lines(found: Campaign) -> Iterator[str]:
    cells: defaultdict[str, list[Tried]] = defaultdict(list)
    for cell in found.cells:
        cells[cell.cell.risk].append(cell)
    ways = [way for way in SURFACES if any(cell.cell.surface == way for cell in found.cells)]
    for known in taxonomies():
        if known.name not in found.lists:
            continue
        yield f"{known.title} {known.edition}"
        for risk in known.risks:
            marks = "  ".join(f"{_mark(cells[risk.risk_id], way)} {way}" for way in ways)
            yield from _risk_lines(
                f"  {risk.risk_id} {risk.title}", f"not tried: {risk.untried}" if risk.untried else marks
            )
    counts = by_state(found.cells)
    states = (
        f"{_STATE_SIGNS['broken']} an attack worked ({counts['broken']})",
        f"{_STATE_SIGNS['flaky']} one worked, and not again ({counts['flaky']})",
        f"{_STATE_SIGNS['held']} attacks were tried and none worked ({counts['held']})",
        f"{_STATE_SIGNS['untried']} not tried ({counts['untried']})",
    )
    line = "  ".join(states)
    yield from (line,) if len(line) <= terminal_width() else states
    yield f"A {_STATE_SIGNS['held']} says that these attacks did not work, and not that none does."


def _risk_lines(risk: str, said: str) -> Iterator[str]:
    """Write a risk and what is said of it: in one line where they fit the terminal, else below each other."""
    line = f"{risk:<{_TITLES}} {said}"
    if len(line) <= terminal_width():
        yield line
        return
    yield risk
    yield from (f"        {part}" for part in wrap(said, terminal_width() - 8))


def _mark(cells: Iterable[Tried], way: str) -> str:
    states = {cell.state for cell in cells if cell.cell.surface == way}
    return next(
        (_STATE_SIGNS[state] for state in ("broken", "flaky", "held", "untried") if state in states), " "
    )


def _as_json(found: Campaign) -> dict[str, Any]:
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {
        **fields,
        "created": found.created.isoformat(),
        "findings": [dataclasses.asdict(finding) for finding in found.findings],
        "cells": len(found.cells),
        "coverage": [
            {**cell.cell._asdict(), "tried": cell.tried, "worked": cell.worked, "state": cell.state}
            for cell in found.cells
        ],
    }
