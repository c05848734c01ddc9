"""How far a run is, in one line, and which cases differ so far."""

from __future__ import annotations

import io

import pytest

from replay.running.progress import Progress, ProgressLine


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_the_line_says_count_rate_time_left_and_differing():
    """Everything that one wants to know of a run is on the line, and a class that never came up is not."""
    progress = Progress(60, 1000, 10, 5.0, {"complete": 47, "blocked": 3, "errored": 0}, 4)
    assert progress.line() == "60/1000  10/s  1 min 34 s left  4 differing  3 blocked"


def test_nothing_is_promised_before_there_is_a_rate():
    """The first executions, slow as they are, make no estimate."""
    assert Progress(2, 10, 0, 9.0, {"complete": 2}, 0).line() == "2/10  0 differing"


@pytest.mark.parametrize(("left", "said"), [(30, "30 s"), (90, "1 min 30 s"), (7200, "2 h 00 min")])
def test_a_time_is_said_in_the_units_that_fit(left, said):
    """Seconds, minutes and hours, none of them more exact than it is."""
    progress = Progress(100, 100 + left * 10, 0, 10.0, {}, 0)
    assert f"{said} left" in progress.line()


def test_a_stream_that_is_no_terminal_stays_clean():
    """What goes into a file or a pipe holds no progress."""
    stream = io.StringIO()
    line = ProgressLine(stream)
    line(Progress(1, 2, 0, 1.0, {}, 0))
    line.close()
    assert stream.getvalue() == ""


def test_a_terminal_shows_the_line_and_is_left_clean():
    """The last state is always drawn, and the line is taken away at the end."""
    stream = Terminal()
    line = ProgressLine(stream)
    line(Progress(1, 2, 0, 1.0, {}, 0))
    line(Progress(2, 2, 0, 1.0, {}, 1))
    line.close()
    assert stream.getvalue().endswith("2/2  1 differing\r\x1b[2K")
