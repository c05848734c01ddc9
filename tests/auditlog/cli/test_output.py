"""What commands say on stderr, where stderr is a terminal."""

import contextlib
import fcntl
import os
import pty
import struct
import termios

import pytest

from auditlog.cli.output import Progress, narrate


@pytest.fixture
def on_screen(monkeypatch):
    """Give what a call writes to stderr, while that is a terminal of 50 columns and stdout is none."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    with os.fdopen(leader, "rb", buffering=0) as seen, os.fdopen(follower, "w", encoding="utf-8") as stream:

        def written(call):
            with contextlib.redirect_stderr(stream):
                call()
            return seen.read(4096).decode().replace("\r\n", "\n")

        yield written


def test_narration_is_broken_between_words_and_not_within_a_command(on_screen):
    """A sentence fits the terminal's columns, and a command that fits one line stays on one."""
    said = "Nothing is recorded of this run; `auditlog replay show 20261123-232330` says more of it."
    shown = "Nothing is recorded of this run;\n`auditlog replay show 20261123-232330` says more\nof it.\n"
    assert shown == on_screen(lambda: narrate(said))


def test_a_command_that_fits_no_line_is_broken_between_its_words(on_screen):
    """A command longer than the terminal is wide is broken like other words."""
    said = "`auditlog replay diff 20261123-232330 --case 2d4409493231ae8f` prints it."
    shown = "`auditlog replay diff 20261123-232330 --case\n2d4409493231ae8f` prints it.\n"
    assert shown == on_screen(lambda: narrate(said))


def test_progress_fits_the_terminal_it_is_written_to(on_screen):
    """The line of progress is cut to stderr's columns, also where stdout is no terminal, so that it stays one line."""

    def advance():
        Progress("cases", 1000).update(1000, note="spent 12.30 USD, 17 behave differently, 3 minutes left")

    assert len(on_screen(advance).removeprefix("\r\x1b[K")) == 49
