"""What importing the statistics costs, and what is said where scipy is missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import replay.stats
from replay.stats import StatisticsMissingError, paired_interval, required_n


def test_importing_the_statistics_imports_neither_scipy_nor_numpy():
    """`import replay.stats` and a sample size load neither; the first interval does."""
    code = (
        "import sys, replay.stats as s; s.required_n(.05, .03); before = {'scipy', 'numpy'} & set(sys.modules); "
        "s.paired_interval([0.0, 1.0]); print(sorted(before), 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[] True" == done.stdout.strip()


def test_a_missing_extra_says_what_to_install(monkeypatch):
    """Without scipy an interval names the extra, and a sample size is given all the same."""
    for name in ("scipy", "scipy.special"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StatisticsMissingError, match=r"pip install 'auditlog-replay\[gate\]'"):
        paired_interval([0.0, 1.0])
    assert 342 == required_n(0.05, 0.03)


def test_the_statistics_import_nothing_of_ours():
    """No module of the package imports another package of the repository, or opens anything."""
    for path in Path(replay.stats.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                assert not module.startswith(("auditlog", "tui")), path
                assert not module.startswith("replay") or module.startswith("replay.stats"), path
