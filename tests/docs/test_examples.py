"""Runs every example of the documentation, as a reader would.

The rules:

1. The ```console blocks of one page run in order in one directory, stdout and stderr together as on a terminal.
   An `auditlog` command runs in this process, where the database is loaded once; anything else through a shell.
2. A line that starts with `$ ` is a command; the lines below it, up to the next command, are its output. A command
   with no output shown may print anything.
3. A line `…` stands for any lines, `…` inside a line for any text; space within a line counts as one.
4. A command exits with 0, or with the N of its trailing comment `# exits with N`.
5. `<!-- file: NAME -->` above a code block writes that block to NAME first.
6. The directory is like a checkout in that `sample_traces` is there.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from auditlog.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n+)?^```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_EXITS = re.compile(r"#\s*exits with (\d+)\s*$")


class File(NamedTuple):
    """A block that the page tells the reader to save."""

    name: str
    text: str


class Command(NamedTuple):
    """One command of a console block, and what the page says it prints."""

    line: int
    command: str
    output: list[str]

    @property
    def status(self) -> int:
        """The exit code that the page promises."""
        found = _EXITS.search(self.command)
        return int(found[1]) if found else 0


def steps_of(page: str) -> Iterator[File | Command]:
    """Give what a page asks the reader to do, in order."""
    for block in _BLOCK.finditer(page):
        if block["file"]:
            yield File(block["file"], block["body"])
        elif block["language"] == "console":
            first = page.count("\n", 0, block.start("body")) + 1
            yield from commands_of(block["body"], first)


def commands_of(body: str, first_line: int) -> Iterator[Command]:
    """Give the commands of one console block."""
    command = None
    for number, line in enumerate(body.splitlines(), first_line):
        if line.startswith("$ "):
            if command:
                yield command
            command = Command(number, line[2:], [])
        elif command:
            command.output.append(line)
    if command:
        yield command


def matches(expected: list[str], printed: str) -> bool:
    """Say whether a command printed what the page shows."""
    shown = printed.rstrip().split("\n")
    ends = {0}  # How many of the printed lines the expected ones so far can have taken.
    for line in expected:
        if line.strip() in {"…", "..."}:
            ends = set(range(min(ends), len(shown) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(shown) and line_matches(line, shown[end])}
    return len(shown) in ends


def line_matches(expected: str, printed: str) -> bool:
    """Say whether a line is as expected: the pieces between two `…` are looked for one after the other."""
    first, *pieces = " ".join(expected.split()).split("…")
    rest = " ".join(printed.split())
    if not pieces:
        return rest == first
    if not rest.startswith(first):
        return False
    rest = rest[len(first) :]
    for piece in pieces[:-1]:
        _, found, rest = rest.partition(piece) if piece else ("", "…", rest)
        if not found:
            return False
    return rest.endswith(pieces[-1])


class Printed(NamedTuple):
    """What a command printed, and how it ended."""

    text: str
    status: int


def run(command: str) -> Printed:
    """Run one command line of a page in the current directory and environment."""
    words = shlex.split(command, comments=True)
    if words[0] == "auditlog" and not set("|&;<>$`") & set(command.partition("#")[0]):
        return run_here(words[1:])
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
        text=True,
    )
    return Printed(done.stdout, done.returncode)


def run_here(arguments: list[str]) -> Printed:
    """Run an `auditlog` command line in this process."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    status = 0
    with redirect_stdout(screen), redirect_stderr(screen):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    screen.seek(0)
    return Printed(screen.read(), status)


@pytest.fixture
def readers_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's directory and environment: this installation first on the path, a plain terminal, UTC."""
    (tmp_path / "sample_traces").symlink_to(ROOT / "sample_traces")
    for name in list(os.environ):
        if name.startswith(("AUDITLOG_", "OTEL_")):
            monkeypatch.delenv(name)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    plain = {
        "PATH": path,
        "HOME": str(tmp_path),
        "COLUMNS": "100",
        "LINES": "40",
        "NO_COLOR": "1",
        "TZ": "UTC",
    }
    for name, value in plain.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    time.tzset()
    return tmp_path


_TAKE_A_MINUTE = {"release.md"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page.name in _TAKE_A_MINUTE else (), id=page.name)
        for page in PAGES
    ],
)
def test_every_example_does_what_the_page_says(page: Path, readers_desk: Path) -> None:
    """Each command of a page prints what stands below it and exits as it should."""
    for step in steps_of(page.read_text(encoding="utf-8")):
        if isinstance(step, File):
            (readers_desk / step.name).write_text(step.text, encoding="utf-8")
            continue
        if step.command.startswith("make "):
            continue  # Targets of the Makefile make a virtual environment of their own; CI runs them.
        printed = run(step.command)
        where = f"{page.name}:{step.line}: $ {step.command}\n{printed.text}"
        if printed.status != step.status:
            pytest.fail(f"{where}\n--- exited with {printed.status}, not with {step.status}", pytrace=False)
        if step.output and not matches(step.output, printed.text):
            pytest.fail("\n".join((where, "--- the page shows ---", *step.output)), pytrace=False)


def test_a_page_that_shows_something_else_is_caught() -> None:
    """The comparison accepts wildcards and nothing looser."""
    printed = "ID        TURNS\nabc-1     3\nabc-2     4\n"
    assert matches(["ID TURNS", "…", "abc-2 …"], printed)
    assert not matches(["ID TURNS", "abc-2 …"], printed)
    assert not matches(["ID TURNS", "…", "abc-2 5"], printed)


_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs" / "adr").glob("*.md"))], ids=lambda page: page.name
)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    """A relative link or picture names a file that is there."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [] == [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_is_python(page: Path) -> None:
    """A block of code that a reader would copy at least compiles."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "python":
            compile(block["body"], f"{page.name}", "exec")
