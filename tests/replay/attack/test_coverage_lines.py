"""What `auditlog attack coverage` prints."""

from datetime import UTC, datetime

import pytest

from auditlog.safe_text import cell_width
from replay.attack.keeping import Campaign
from replay.cli.attack.writing import write_coverage
from replay.risks.taxonomy import SURFACES, Cell, taxonomies
from replay.risks.tried import Tried


@pytest.fixture
def three_tried():
    """A campaign of three attacks on all lists, two of them on one cell."""
    cells = [
        Tried(Cell(risk.risk_id, way, "en"), {("LLM01", "user"): 2, ("LLM05", "tool"): 1}.get((risk.risk_id, way), 0), 0)
        for known in taxonomies()
        for risk in known.risks
        if not risk.untried
        for way in SURFACES
    ]  # fmt: skip
    lists = tuple(known.name for known in taxonomies())
    began = datetime(2026, 11, 23, tzinfo=UTC)
    return Campaign("r", began, "a:b", "0" * 64, None, lists, 0, "complete", 3, 0, 0, {}, 0, tuple(cells), ())


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_coverage_fits_the_terminal(three_tried, columns, monkeypatch, capsys):
    """No line is wider than the terminal, and each risk is there with its mark or why it is not tried."""
    monkeypatch.setenv("COLUMNS", str(columns))
    write_coverage(three_tried, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert columns >= max(map(cell_width, lines))
    said = " ".join(" ".join(lines).split())
    assert "LLM01 Prompt Injection ✓ user · document · tool · memory LLM02" in said
    assert "MCP07 Insufficient Authentication and Authorization not tried: a property of the servers" in said


def test_a_cell_that_no_attack_came_to_is_called_not_tried(three_tried, monkeypatch, capsys):
    """What the bound on attacks left out is not said to have fitted nothing."""
    monkeypatch.setenv("COLUMNS", "140")
    write_coverage(three_tried, as_json=False)
    states, held = capsys.readouterr().out.splitlines()[-2:]
    assert states.endswith(
        f"✓ attacks were tried and none worked (2)  · not tried ({len(three_tried.cells) - 2})"
    )
    assert "A ✓ says that these attacks did not work, and not that none does." == held
