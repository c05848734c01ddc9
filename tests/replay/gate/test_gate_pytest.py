"""The pytest plug-in: a test item a check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main

AGENTS = Path(__file__).parents[1] / "agents"


@pytest.mark.slow
def test_a_check_is_an_item(record, agents, tmp_path):
    """Checks that hold pass, those without an answer fail with their sentence, and a wrong policy is a usage error."""
    store = tmp_path / "audit"
    record(store, agents.v1, [["refund A1"], ["angry: where?"]])
    CliRunner().invoke(
        main,
        [
            "replay", "run", "--agent", "shop_agents:v1", "--baseline", "shop_agents:v1", "--second-baseline", "1",
            "--path", str(AGENTS), "--store", str(store),
        ],
    )  # fmt: skip
    (tmp_path / "gate.toml").write_text('version = 1\nlevel = 2\nowner = "Jo"\n')
    (tmp_path / "wrong.toml").write_text('version = 1\nlevel = 2\nowenr = "Jo"\n')

    def pytest_with(policy):
        command = [sys.executable, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "replay.gate.pytest_plugin"]
        options = [
            "--auditlog-run",
            "last",
            "--auditlog-policy",
            policy,
            "--auditlog-store",
            str(store),
            "-o",
            "addopts=",
        ]
        return subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)

    done, wrong = pytest_with("gate.toml"), pytest_with("wrong.toml")

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "PASSED gate::run.complete" in done.stdout
    assert "FAILED gate::hard_bound" in done.stdout
    assert "57 more" in done.stdout
    assert 4 == wrong.returncode
    assert "key 'owenr' is unknown; nearest 'owner'" in wrong.stderr
