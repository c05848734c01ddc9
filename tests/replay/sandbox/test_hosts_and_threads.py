"""Hosts as they are kept, and threads whose number is given to another."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from replay.errors import RunError
from replay.running.protocol import Setup
from replay.running.worker import _is_elsewhere
from replay.sandbox import threads
from replay.sandbox.hosts import parse_host
from replay.sandbox.modes import Modes


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://u:pw@h.example/v1?api_key=x", "h.example:443"),
        ("http://h.example:81?api_key=x", "h.example:81"),
        ("H.example:443", "h.example:443"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
    ],
)
def test_of_an_address_only_host_and_port_are_kept(text, kept):
    """A password or a key that stands in it is in no record and in no message."""
    assert kept == str(parse_host(text))
    assert parse_host(text) == parse_host(kept)


def test_no_message_tells_what_stood_in_an_address():
    """What is no host is said without its password."""
    with pytest.raises(RunError) as caught:
        parse_host("ftp://user:pass-word@h.example/x")
    assert "pass-word" not in str(caught.value)


def test_a_thread_with_the_number_of_one_that_has_ended_is_seen():
    """What the import left running is known by its thread, and not by the number that the system gives away again."""
    ends, goes_on = threading.Event(), threading.Event()
    first = threading.Thread(target=ends.wait)
    first.start()
    background = threads.in_background()
    ends.set()
    first.join()
    second = threading.Thread(target=goes_on.wait, name="left over")
    second.start()
    try:
        # The same number, whether or not the system gave it.
        background._threads[second.ident] = first
        assert ("left over",) == threads.outliving(background, 0.05)
    finally:
        goes_on.set()
        second.join()


def test_background_threads_of_before_are_none_of_a_cases():
    """What ran before the first case is let run."""
    goes_on = threading.Event()
    before = threading.Thread(target=goes_on.wait)
    before.start()
    try:
        assert () == threads.outliving(threads.in_background(), 0.05)
    finally:
        goes_on.set()
        before.join()


def test_a_worker_whose_model_cannot_be_connected_to_is_replaced():
    """Behind a load balancer addresses turn; a fresh worker looks them up anew, and a limit of the rate is no reason."""
    setup = Setup("bot:answer", False, Modes(), (), "", hosts=(("api.example", 443),))
    assert _is_elsewhere("httpx.ConnectError", setup)
    assert _is_elsewhere("openai.APIConnectionError", setup)
    assert not _is_elsewhere("openai.RateLimitError", setup)
    assert not _is_elsewhere("httpx.ConnectError", replace(setup, hosts=()))
