"""The demo, as a stranger runs it."""

import os
import pty
import re
import select
import sys
import time

import pyte
import pytest

from auditlog.cli.demo import _this_command
from auditlog.cli.exits import Exit


def test_the_demo_touches_nobody_s_files(run, tmp_path):
    """A directory of other files is refused before anything is written."""
    (tmp_path / "audit-demo").mkdir()
    (tmp_path / "audit-demo" / "thesis.txt").write_text("x")
    done = run("demo", "--no-tui")
    assert done.exit_code == Exit.ERROR
    assert [path.name for path in (tmp_path / "audit-demo").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_the_demo_shows_what_version_two_gets_wrong(run_apart, tmp_path):
    """The recording replays as it was, every kind of fault of version 2 is shown, a gate could judge it, a second demo runs
    nothing again, and on a terminal it opens the differences.
    """
    done = run_apart("demo", env={"AUDITLOG_STORE": str(tmp_path / "mine")}, timeout=300)
    assert done.returncode == Exit.OK, done.stderr
    assert "490 of 490 turns are identical" in done.stderr
    assert "To a gate, 237 conversations are enough at best for level 2 (59)" in done.stderr
    for group in (
        "blocked issue_refund",
        "missing escalate_to_human",
        "unsupported date",
        "extra look_up_order",
    ):
        assert re.search(rf"^\d+\. .*{group} · \d+ cases$", done.stdout, re.MULTILINE)
    assert "auditlog tui --run" in done.stderr
    assert not (tmp_path / "mine").exists()

    again = run_apart("demo", "--no-tui")
    assert again.stdout == done.stdout
    assert "executions" not in again.stderr

    assert "issue_refund" in screen_of(["demo"], tmp_path, until="issue_refund")


def test_the_hint_works_in_a_shell_that_does_not_know_the_command(monkeypatch, tmp_path):
    """Run by `make`, whose environment the user's shell does not know, it names the command by its path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/auditlog", "demo"])
    assert _this_command() == ".venv/bin/auditlog"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python/auditlog/cli/__main__.py", "demo"])
    assert _this_command() == "auditlog"


def screen_of(arguments, directory, *, until, seconds=60):
    """Run the command on a terminal until it shows a word, press q, and give what the screen showed."""
    child, leader = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        os.execv(sys.executable, [sys.executable, "-m", "auditlog.cli", *arguments])
    screen = pyte.Screen(120, 40)
    stream = pyte.ByteStream(screen)
    deadline = time.monotonic() + seconds
    shown = ""
    while until not in shown and time.monotonic() < deadline:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                stream.feed(os.read(leader, 65536))
            except OSError:
                break
            # Cell by cell: pyte's own `display` fails where half of a wide character is drawn over.
            shown = "\n".join("".join(screen.buffer[y][x].data for x in range(120)) for y in range(40))
    for _ in range(20):
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        os.write(leader, b"q")
        select.select([leader], [], [], 0.5)
        with_output = select.select([leader], [], [], 0)[0]
        if with_output:
            try:
                os.read(leader, 65536)
            except OSError:
                pass
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
    os.close(leader)
    return shown
