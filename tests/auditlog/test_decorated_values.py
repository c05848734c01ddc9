"""What is recorded of decorated calls' values and errors, whatever they are, and what `redact` and `reduce` make of them."""

import json
import time

import pytest

import auditlog
from auditlog import config


def test_errors_pass_through_and_are_recorded(recording):
    """The caller sees the body's own exception; the record has its type, message and the body's frames."""

    @auditlog.tool
    def refuse(order_id):
        raise LookupError("no such order")

    with pytest.raises(LookupError, match="no such order"):
        refuse("x")
    row = recording.named("refuse")
    error = json.loads(row["error"])
    assert ("error", "LookupError") == (row["status"], row["error_type"])
    assert "no such order" == error["message"]
    assert "in refuse" in error["stack"]
    assert "auditlog/decorators.py" not in error["stack"].replace("tests/auditlog", "tests")
    with pytest.raises(TypeError):
        refuse()


def test_redact_decides_what_is_recorded(recording):
    """A decorator's own `redact` sees arguments and result; the call has the originals, and a failing one hides them."""

    @auditlog.tool(redact=lambda value: {**value, "card": "****"})
    def pay(card, amount):
        return {"card": card, "paid": amount}

    @auditlog.tool(redact=lambda value: value["none"])
    def fail(secret):
        return secret

    assert {"card": "4111", "paid": 5} == pay("4111", 5)
    assert "sesame" == fail("sesame")
    paid, failed = recording.rows
    assert {"card": "****", "amount": 5} == json.loads(paid["input"])
    assert {"card": "****", "paid": 5} == json.loads(paid["output"])
    assert {"$auditlog": "unredactable", "why": "KeyError"} == json.loads(failed["input"])
    assert b"sesame" not in b"".join(recording.sink.payloads)
    assert paid["lossy"]

    @auditlog.tool(redact=lambda value: value)
    def keep(text):
        return text

    keep("all")
    assert not recording.named("keep")["lossy"]


@pytest.mark.parametrize(
    "redact",
    [lambda value: {**value, "card": "****"}, lambda value: "hidden", lambda value: "tulip-2222".join([])],
    ids=["by name", "any text", "nothing"],
)
def test_redact_reaches_the_text_of_an_error(recording, redact):
    """What `redact` takes out of the arguments stands neither in the error's message nor in its stack."""

    @auditlog.tool(redact=redact)
    def pay(card, amount):
        raise ValueError(f"card {card} was declined for {amount}")

    with pytest.raises(ValueError, match="tulip-2222"):
        pay("tulip-2222", 5)
    assert b"tulip" not in b"".join(recording.sink.payloads)
    row = recording.named("pay")
    assert row["lossy"]
    assert "ValueError" == json.loads(row["error"])["type"]


def test_redact_may_mend_the_text_of_an_error(recording):
    """A function that understands text is given message and stack, and what it leaves is recorded."""

    def redact(value):
        return value.replace("Anna", "<name>") if isinstance(value, str) else value

    @auditlog.tool(redact=redact)
    def greet():
        raise LookupError("no Anna here")

    with pytest.raises(LookupError):
        greet()
    error = json.loads(recording.named("greet")["error"])
    assert "no <name> here" == error["message"]
    assert "in greet" in error["stack"]
    assert error["stack"].endswith("LookupError: no <name> here\n")


def test_an_error_whose_text_hangs_is_recorded_at_once(recording):
    """An error's own `__str__` is not called, so that it can neither hang nor end a call."""

    class Stuck(Exception):  # noqa: N818
        def __str__(self):
            while time.monotonic() > 0:
                pass
            return ""

        __repr__ = __str__

    @auditlog.tool
    def fail(value):
        raise Stuck("no order", value)

    with pytest.raises(Stuck):
        fail(5)
    with pytest.raises(Stuck):
        fail(Stuck())
    first, second = recording.rows
    assert "(no order, 5)" == json.loads(first["error"])["message"]
    assert second["lossy"]
    assert json.loads(second["error"])["message"].endswith("Stuck)")


def test_reduce_says_what_a_stream_was(recording):
    """A stream's items are handed out one by one and recorded as what `reduce` makes of them."""

    @auditlog.model(reduce="".join)
    def stream(messages):
        yield "He"
        yield "llo"

    assert ["He", "llo"] == list(stream([]))
    row = recording.named("stream")
    assert ("Hello", True, True) == (json.loads(row["output"]), row["stream"], row["lossy"])


def test_content_left_out_makes_the_span_lossy(recording):
    """A call whose content is not captured says that it cannot be replayed."""

    @auditlog.tool(capture_input=False, capture_output=False)
    def secret(pin):
        return pin

    secret("a pin in words")
    row = recording.named("secret")
    assert (None, None, True) == (row["input"], row["output"], row["lossy"])
    assert not any(b"a pin in words" in payload for payload in recording.sink.payloads)


class Untellable:
    """Has no text."""

    def __str__(self):
        """Fail."""
        raise RuntimeError("no text")

    __repr__ = __str__


CYCLE = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value", ["\ud800", 2**80, Untellable(), CYCLE], ids=["surrogate", "big", "text", "cycle"]
)
def test_a_fact_without_a_json_text_does_not_cost_the_record(recording, value):
    """The call's end is recorded, marked lossy; what else was said of it stays."""

    @auditlog.agent
    def answer(question):
        auditlog.annotate(prompt_version="v7", mood=value)
        auditlog.escalate(value, to=value)
        return "done"

    answer("hi")
    row = recording.named("answer")
    assert ("ok", "v7", True, 0) == (
        row["status"],
        row["prompt_version"],
        row["lossy"],
        config.recorder().faults,
    )
    assert "done" == json.loads(row["output"])
    assert 1 == sum(row["kind"] == "handoff" for row in recording.rows)


class EvasiveError(Exception):
    """Answers any name with another error."""

    def __getattr__(self, name):
        """Fail."""
        raise KeyError(name)


class BoldError(Exception):
    """Says of itself what only a replay says."""

    def __init__(self):
        """Hold facts."""
        self.auditlog_facts = {"auditlog.replay.match_tier": "exact"}


@pytest.mark.parametrize("kind", [EvasiveError, BoldError])
def test_an_error_with_odd_attributes_is_raised_as_it_is(recording, kind):
    """The agent gets its own error, and the call is recorded as failed."""

    @auditlog.tool
    def fail():
        raise kind

    with pytest.raises(kind):
        fail()
    row = recording.named("fail")
    assert ("error", None) == (row["status"], row["replay_match_tier"])


def test_what_a_replay_says_of_a_call_nobody_else_says(recording):
    """A body that ran for real cannot call itself served, nor a recorded call itself a replay's."""

    @auditlog.tool
    def claim():
        auditlog.annotate(replay_match_tier="exact", replay_run_id="r1", replay_status="complete")

    claim()
    row = recording.named("claim")
    assert (None, None, None) == (row["replay_match_tier"], row["replay_run_id"], row["replay_status"])
    assert "exact" == json.loads(row["attributes"])["auditlog.fact.replay_match_tier"]
