"""What looks at a response of urllib3 keeps nothing of it."""

from __future__ import annotations

import gc
import http.server
import weakref

import pytest
import urllib3

import auditlog


class Numbers(http.server.BaseHTTPRequestHandler):
    """Answers with ten digits, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.send_header("content-length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def numbers(serve_recorded):
    """The address of a server on the loopback, while HTTP is recorded."""
    return serve_recorded(Numbers)


def of_tools(recording):
    """Give the rows of what was called."""
    return [row for row in recording.rows if row["kind"] == "tool"]


def test_a_response_that_is_dropped_goes_at_once_and_its_record_ends(numbers, recording):
    """No collector has to run before a response that was read in part gives back its connection."""

    def body():
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", f"{numbers}/a", preload_content=False)
            read, gone = answer.read(4), weakref.ref(answer)
            gc.disable()
            try:
                del answer
                return [read.decode(), gone() is None, len(of_tools(recording))]
            finally:
                gc.enable()

    assert ["0123", True, 1] == auditlog.agent("bot")(body)()
    assert of_tools(recording)[0]["lossy"]


def test_a_response_that_is_read_without_a_name_is_recorded_whole(numbers, recording):
    """A response lives as long as what reads it."""

    def body():
        with urllib3.PoolManager() as pool:
            pieces = pool.request("GET", f"{numbers}/a", preload_content=False).stream(4)
            read = pool.request("GET", f"{numbers}/b", preload_content=False).read
            return [b"".join(pieces).decode(), read().decode()]

    assert ["0123456789", "0123456789"] == auditlog.agent("bot")(body)()
    assert [False, False] == [bool(row["lossy"]) for row in of_tools(recording)]


def test_a_response_that_is_looked_at_is_of_its_own_class(numbers, recording):
    """Who asks what a response is finds what urllib3 calls it."""

    def body():
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", f"{numbers}/a", preload_content=False)
            return [isinstance(answer, urllib3.HTTPResponse), type(answer).__name__, answer.read().decode()]

    assert [True, "HTTPResponse", "0123456789"] == auditlog.agent("bot")(body)()
