"""What the hostile tests share: the command, files of hostile spans, and the application on a store."""

import json
import os
import subprocess
import sys

import pytest

from auditlog.store import Store
from tui.app import AuditApp


@pytest.fixture(autouse=True)
def _plain(plain_surroundings):
    """Every test here runs in plain surroundings."""


@pytest.fixture
def run_apart(tmp_path):
    """Give a function that runs the command as a process of its own, which is killed where it hangs."""

    def start(*arguments, timeout=120):
        command = [sys.executable, "-m", "auditlog.cli", *map(str, arguments)]
        options = {"capture_output": True, "text": True, "timeout": timeout, "cwd": tmp_path}
        return subprocess.run(command, env=dict(os.environ), check=False, stdin=subprocess.DEVNULL, **options)

    return start


MEASURED = """
import pathlib, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@pytest.fixture
def run_measured(tmp_path):
    """Give a function that runs the command as a process of its own, and gives its peak memory in kilobytes, too."""

    def start(*arguments, timeout=120):
        peak = tmp_path / "peak"
        # Linux counts what a process had before its `exec` as its own: the process between is small, and has no other child.
        command = [sys.executable, "-c", MEASURED, peak, sys.executable, "-m", "auditlog.cli", *arguments]
        options = {"capture_output": True, "text": True, "timeout": timeout, "cwd": tmp_path}
        done = subprocess.run(
            list(map(str, command)), env=dict(os.environ), check=False, stdin=subprocess.DEVNULL, **options
        )
        return done, int(peak.read_text())

    return start


def a_span(number=1, attributes=None, **fields):
    """Make a span as OTLP-JSON has it; a string is a string value, anything else is given as it is."""
    pairs = [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else value}
        for key, value in (attributes or {}).items()
    ]
    times = {"startTimeUnixNano": "1763971200000000000", "endTimeUnixNano": "1763971201000000000"}
    ids = {"traceId": f"{number:032x}", "spanId": f"{number:016x}"}
    return {"name": "chat", "attributes": pairs, **ids, **times, **fields}


@pytest.fixture
def span():
    """Give the function that makes a span of a file."""
    return a_span


@pytest.fixture
def otlp(tmp_path):
    """Give a function that writes spans into a file to import, and gives its path."""

    def write(*spans, name="traces.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
        return path

    return write


@pytest.fixture
def app_on():
    """Give a function that makes the application on a store's path."""

    def make(path, **options):
        return AuditApp(lambda: Store.open(path), "./audit", **options)

    return make


@pytest.fixture
def until():
    """Give a function that waits for a text on the screen, and gives the screen's text."""

    def text_of(app):
        return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())

    async def wait(pilot, wanted, tries=1500):
        for _ in range(tries):
            await pilot.pause(0.02)
            if wanted in (text := text_of(pilot.app)):
                return text
        raise AssertionError(f"{wanted!r} never came up:\n{text_of(pilot.app)}")

    return wait
