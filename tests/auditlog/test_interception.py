"""An interceptor stands below every decorator, on every thread, and fails closed."""

import asyncio
import threading

import pytest

import auditlog
from auditlog import interception
from auditlog.errors import ConfigurationError
from auditlog.interception import Raised, Served

entered = []


@auditlog.tool(effect="write")
def refund(order_id, amount=1):
    """Would change the world."""
    entered.append(order_id)
    return "live"


@auditlog.tool
async def refund_later(order_id):
    """Would change the world, later."""
    entered.append(order_id)
    return "live"


@auditlog.model
def stream(messages):
    """Would ask a model."""
    entered.append("stream")
    yield "live"


@auditlog.model
async def stream_later(messages):
    """Would ask a model, later."""
    entered.append("stream")
    yield "live"


class Answering:
    """Gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    def before(self, call):
        """Give the answer, or raise it."""
        self.calls.append(call)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def _clean():
    entered.clear()
    yield
    interception.uninstall()


async def _drain(source):
    return [item async for item in source]


def test_a_served_call_never_enters_its_body(recording):
    """Functions, coroutines, generators and async generators are answered without their bodies."""
    interceptor = Answering(Served(["recorded"], {"auditlog.replay.match_tier": "exact"}))
    interception.install(interceptor)
    assert ["recorded"] == refund("x")
    assert ["recorded"] == asyncio.run(refund_later("x"))
    assert ["recorded"] == list(stream([]))
    assert ["recorded"] == asyncio.run(_drain(stream_later([])))
    assert [] == entered
    assert {"exact"} == {row["replay_match_tier"] for row in recording.rows}
    assert {"order_id": "x", "amount": 1} == interceptor.calls[0].arguments


def test_an_answer_can_be_an_error(recording):
    """A recorded error is raised in the agent and recorded as the call's."""
    interception.install(Answering(Raised(LookupError("gone"))))
    with pytest.raises(LookupError, match="gone"):
        refund("x")
    assert [] == entered
    assert "error" == recording.named("refund")["status"]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interceptor_that_breaks_fails_closed(recording, error):
    """What the interceptor raises propagates, and no body is entered."""
    interception.install(Answering(error))
    for call in (lambda: refund("x"), lambda: asyncio.run(refund_later("x")), lambda: list(stream([]))):
        with pytest.raises(type(error)):
            call()
    assert [] == entered


def test_the_switch_is_the_processs_and_not_a_contexts(recording):
    """A thread without any context meets the same interceptor."""
    interception.install(Answering(Served("recorded")))
    thread = threading.Thread(target=refund, args=("x",))
    thread.start()
    thread.join()
    assert [] == entered


def test_interception_needs_no_recorder():
    """With nothing configured, a call is intercepted all the same."""
    interception.install(Answering(Served("recorded")))
    assert "recorded" == refund("x")
    assert [] == entered


def test_a_second_interceptor_is_refused():
    """Two replays in one process would serve each other's calls."""
    interception.install(Answering(None))
    with pytest.raises(ConfigurationError, match="already"):
        interception.install(Answering(None))
