"""The command as a whole: help, errors, exit codes, plug-ins."""

import errno
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from auditlog.cli.exits import Exit
from auditlog.cli.main import COMMANDS, main
from auditlog.errors import StoreError

ROOT = Path(__file__).resolve().parents[3]


def test_help_lists_every_command_and_imports_none(run_apart):
    """`--help` names our commands and those of other packages, and loads no command's module."""
    code = (
        "import sys\nfrom auditlog.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('duckdb', 'pyarrow', 'textual', 'replay', 'tui', 'auditlog.cli.')\n"
        "print([n for n in sys.modules if n.startswith(heavy) and n != 'auditlog.cli.main'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, loaded = done.stdout.splitlines()
    for name in (*COMMANDS, "replay", "tui"):
        assert re.search(rf"^  {name} ", "\n".join(lines), re.MULTILINE)
    assert loaded == "['auditlog.cli.exits', 'auditlog.cli.plugins']"


def test_the_one_line_helps_are_those_of_the_commands():
    """What the table of commands says of each is what its own help begins with, or says the same more shortly."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.help


@pytest.mark.parametrize("words", [(), ("replay",)])
def test_a_group_without_a_command_gives_its_help(run, words):
    """The help goes to stderr as it is, and the exit code says that there was no command."""
    done = run(*words)
    assert (done.exit_code, done.stdout) == (Exit.USAGE, "")
    assert done.stderr.startswith("Usage: ")
    assert "says what it takes" not in done.stderr


def test_an_unknown_command_names_the_nearest(run):
    """A misspelt command is a usage error that says which was meant."""
    done = run("shwo")
    assert done.exit_code == Exit.USAGE
    assert done.stdout == ""
    assert "There is no command 'shwo'. The nearest is `auditlog show`." in done.stderr


def test_an_unknown_option_names_the_nearest(run):
    """A misspelt option is a usage error that says which was meant."""
    done = run("ls", "--wher", "x")
    assert done.exit_code == Exit.USAGE
    assert "--where" in done.stderr


def test_the_version_is_that_of_the_distribution(run):
    """`--version` prints it."""
    assert re.fullmatch(r"auditlog, version \S+\n", run("--version").stdout)


def failing(error):
    """Give the command with one more sub-command, which raises."""

    @click.command()
    def broken():
        raise error

    group = type(main)(name="auditlog")
    group.get_command = lambda _context, _name: broken
    return group


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (StoreError("It is no store."), Exit.ERROR, "error: It is no store."),
        (StoreError("a\x1b]0;owned\x07\u202eb"), Exit.ERROR, "error: a<ESC>]0;owned<BEL><U+202E>b"),
        (click.UsageError("No."), Exit.USAGE, "error: No."),
        (click.exceptions.Exit(7), 7, ""),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "Interrupted"),
        (click.Abort(), Exit.INTERRUPTED, "Interrupted"),
        (BrokenPipeError(), Exit.PIPE, ""),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            Exit.ERROR,
            "error: x: No space left on device.",
        ),
        (
            ZeroDivisionError("why"),
            Exit.BUG,
            "error: Something happened that should not (ZeroDivisionError: why).",
        ),
    ],
)
def test_every_failure_is_a_sentence_and_a_code(error, code, says):
    """Whatever a command raises ends in one sentence on stderr, an exit code, and no traceback."""
    done = CliRunner().invoke(failing(error), ["broken"])
    assert done.exit_code == code
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_traceback_is_shown_where_it_is_asked_for(monkeypatch):
    """AUDITLOG_TRACEBACK=1 shows where an error comes from."""
    monkeypatch.setenv("AUDITLOG_TRACEBACK", "1")
    done = CliRunner().invoke(failing(ZeroDivisionError("why")), ["broken"])
    assert done.exit_code == Exit.BUG
    assert "Traceback" in done.stderr


def test_a_reader_that_stops_reading_is_no_error(filled, run_apart):
    """Output into a pipe that is closed ends quietly, with the code of a broken pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run_apart(
        "ls",
        "--format",
        "json",
        "--store",
        filled.path,
        capture_output=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == Exit.PIPE


def test_a_closed_stdout_is_a_sentence(filled, run_apart):
    """With stdout closed the command says so instead of losing the result."""
    command = f'exec "{sys.executable}" -m auditlog.cli ls --store "{filled.path}" >&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    assert done.returncode == Exit.ERROR
    assert "error: Standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_a_sentence(filled, run_apart):
    """What cannot be written is said, once."""
    with open("/dev/full", "w") as full:
        done = run_apart(
            "ls", "--store", filled.path, capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == Exit.ERROR
    assert done.stderr.count("error:") == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_narrow_encoding_is_no_error(filled, run_apart):
    """In a terminal without Unicode, what it lacks is escaped."""
    done = run_apart(
        "show", "case-1", "--store", filled.path, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert done.returncode == Exit.OK
    assert "\\u2500" in done.stdout


def test_ctrl_c_ends_a_watching_seal(filled, run_apart, tmp_path):
    """An interrupt ends a command that watches with 130 and a sentence."""
    command = [sys.executable, "-m", "auditlog.cli", "seal", "--watch", "--store", str(filled.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert "Interrupted" in said
    assert "Traceback" not in said


@pytest.fixture
def plugged_in(tmp_path, monkeypatch):
    """Install a package with two commands: one works, one does not import."""
    (tmp_path / "site" / "extra-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "extra-1.0.dist-info" / "entry_points.txt").write_text(
        "[console_scripts]\nnothing = a:b\n\n[auditlog.commands]\nhello = extra_command:hello\nbroken = extra_command:gone\n"
    )
    (tmp_path / "site" / "extra_command.py").write_text(
        "import click\n\n@click.command()\ndef hello():\n    '''Greet.'''\n    click.echo('hello')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def test_another_package_adds_a_command(plugged_in, run_apart):
    """A command of another package is listed by its name and imported when it is used."""
    assert re.search(r"^  hello +From extra-1\.0\.$", run_apart("--help").stdout, re.MULTILINE)
    assert run_apart("hello").stdout == "hello\n"
    assert run_apart("helo").stderr.startswith(
        "error: There is no command 'helo'. The nearest is `auditlog hello`."
    )


def test_what_ships_beside_the_recorder_says_what_it_does_in_the_order_of_use(plugged_in, run_apart):
    """Each command that the project's own packages add has its help in the list, before those of strangers."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        ours = tomllib.load(file)["project"]["entry-points"]["auditlog.commands"]
    listed = re.findall(
        r"^  (\w+) +(\S.*)$", run_apart("--help").stdout.partition("Commands:")[2], re.MULTILINE
    )

    assert set(ours) <= {name for name, said in listed if not said.startswith("From ")}
    assert ["replay", "attack", "regress", "gate", "tui", "broken", "hello"] == [name for name, _ in listed][
        -7:
    ]


def test_a_command_that_does_not_import_is_a_sentence(plugged_in, run_apart):
    """A broken package says which it is, and does not spoil the rest."""
    done = run_apart("broken")
    assert done.returncode == Exit.ERROR
    assert "The command 'broken' does not import (extra_command:gone)" in done.stderr
    assert "Install extra-1.0 again." in done.stderr
