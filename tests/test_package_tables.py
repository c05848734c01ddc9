"""The tables in packages' docstrings: each module that they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [
    path
    for name in ("auditlog", "replay", "tui")
    for path in sorted((ROOT / name).rglob("__init__.py"))
    if "| Module" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_table_of_modules_names_what_is_there(package: Path) -> None:
    """Each word in a table's column of modules is a module or package beside it."""
    said = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\|.*\|$", said, re.MULTILINE)
    ]
    column = rows[0].index("Module")
    named = {name for row in rows[2:] for name in re.findall(r"`(\w+)`", row[column])}
    there = {path.stem for path in package.parent.iterdir()}

    assert set() == named - there
