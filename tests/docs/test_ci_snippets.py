"""The CI snippets of docs/gate.md: they parse, and the commands in them are real."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from auditlog.cli.main import main
from replay.gate.policy import ROLES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- file: (\S+\.yml) -->\n```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def commands_in(text):
    """Give each `auditlog` command of a snippet, folded lines joined."""
    joined = re.sub(r"\n {6,}(?=--|\S+=)", " ", text)
    return [line.strip(" -") for line in re.findall(r"auditlog (?:replay run|gate) [^\n|]*", joined)]


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_commands_of_a_snippet_are_real(name):
    """Each option that a snippet gives to our commands exists."""
    found = commands_in(BLOCKS[name])
    assert 2 <= len(found)
    for line in found:
        words = shlex.split(line)[1:]
        command, context = main, click.Context(main)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
        known = {option for parameter in command.params for option in parameter.opts}
        assert set() == {word for word in words if word.startswith("--")} - known


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_snippet_is_yaml(name):
    """Each snippet parses, and its jobs have steps."""
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(BLOCKS[name])

    steps = found["jobs"]["gate"]["steps"] if "jobs" in found else found["gate"]["script"]
    assert any("auditlog gate last" in str(step) for step in steps)


def test_every_built_in_metric_is_documented():
    """The page's table names each built-in metric with its roles."""
    from replay.gate.metrics import BUILT_IN

    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
    listed = {name: set(roles.split(", ")) for names, roles in rows for name in re.findall(r"`(\w+)`", names)}
    shown = {name: roles for name, roles in listed.items() if roles <= set(ROLES)}
    assert {name: set(metric.roles) for name, metric in BUILT_IN.items()} == shown
