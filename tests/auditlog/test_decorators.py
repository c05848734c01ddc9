"""The decorators keep a function what it was, and record what it did."""

import asyncio
import inspect
import json
import time

import pytest

import auditlog
from auditlog import config
from auditlog.errors import ConfigurationError


def content(row, part):
    """Decode a content column."""
    return json.loads(row[part])


def test_bare_and_called_forms_keep_the_function(recording):
    """A decorated function keeps its name, signature and result, and says what it is."""

    @auditlog.tool
    def bare(order_id: str) -> str:
        """Look an order up."""
        return order_id

    @auditlog.tool("named", effect="read")
    def called(order_id: str) -> str:
        return order_id

    assert ("x", "y") == (bare("x"), called("y"))
    assert ["order_id"] == list(inspect.signature(bare).parameters)
    assert ("bare", None, True) == (
        bare.__auditlog__.name,
        bare.__auditlog__.effect,
        bare.__auditlog__.writes,
    )
    assert ("named", "read", False) == (
        called.__auditlog__.name,
        called.__auditlog__.effect,
        called.__auditlog__.writes,
    )
    assert {"order_id": "y"} == content(recording.named("named"), "input")
    assert "read" == recording.named("named")["effect"]


def test_methods_of_every_sort_leave_self_out(recording):
    """Methods, class methods and static methods are recorded without self or cls."""

    class Desk:
        @auditlog.tool
        def method(self, a):
            return a

        @auditlog.tool
        @classmethod
        def of_class(cls, a):
            return a

        @staticmethod
        @auditlog.tool
        def static(a, *rest, b=2, **more):
            return a

    Desk().method(1)
    Desk.of_class(1)
    Desk.static(1, 5, 6, c=3)
    assert {"a": 1} == content(recording.named("method"), "input")
    assert {"a": 1} == content(recording.named("of_class"), "input")
    assert {"a": 1, "rest": [5, 6], "b": 2, "c": 3} == content(recording.named("static"), "input")


def test_a_naming_default_and_leaving_it_out_are_one_call(recording):
    """Defaults are part of the recorded arguments."""

    @auditlog.retriever
    def search(question, k=3):
        return []

    search("a")
    search("a", k=3)
    assert 1 == len({row["input"] for row in recording.rows})


def test_a_coroutine_nests_its_calls(recording):
    """Awaited and gathered calls have the agent as their parent and turn."""

    @auditlog.tool
    async def step(n):
        await asyncio.sleep(0)
        return n

    @auditlog.agent("bot")
    async def answer(question):
        return await asyncio.gather(step(1), step(2), asyncio.to_thread(lambda: None))

    asyncio.run(answer("hi"))
    agent = recording.named("bot")
    steps = [row for row in recording.rows if row["name"] == "step"]
    assert {agent["span_id"]} == {row["parent_span_id"] for row in steps} == {row["turn_id"] for row in steps}
    assert agent["span_id"] == agent["turn_id"]
    assert "v1" == agent["agent_version"]


def test_a_stream_is_recorded_item_by_item(recording):
    """A generator's output is the list of what it yielded, with the time to its first item."""

    @auditlog.model(provider="openai")
    def stream(messages, model="m-1"):
        got = yield "Hel"
        assert "sent" == got
        yield "lo"
        return 7

    source = stream([{"role": "user", "content": "hi"}])
    assert "Hel" == next(source)
    assert "lo" == source.send("sent")
    with pytest.raises(StopIteration) as stop:
        next(source)
    assert 7 == stop.value.value
    row = recording.named("stream")
    assert ["Hel", "lo"] == content(row, "output")
    assert (True, "m-1", "openai") == (row["stream"], row["model_requested"], row["provider"])
    assert row["ttft_ms"] > 0


def test_the_consumer_of_a_stream_is_not_inside_it(recording):
    """What a consumer calls between two items belongs to the consumer."""

    @auditlog.tool
    def inside():
        return 1

    @auditlog.tool
    def outside():
        return 2

    @auditlog.model
    def stream(messages):
        inside()
        yield "a"
        yield "b"

    @auditlog.agent("bot")
    def answer(question):
        for _ in stream([]):
            outside()

    answer("hi")
    assert recording.named("stream")["span_id"] == recording.named("inside")["parent_span_id"]
    outsides = [row for row in recording.rows if row["name"] == "outside"]
    assert [recording.named("bot")["span_id"]] * 2 == [row["parent_span_id"] for row in outsides]


def test_a_stream_left_half_way_keeps_what_it_gave(recording):
    """Closing a stream early ends its record with the items so far and closes the source."""
    closed = []

    @auditlog.model
    def stream(messages):
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    source = stream([])
    next(source)
    source.close()
    row = recording.named("stream")
    assert ("ok", ["a"], [True]) == (row["status"], content(row, "output"), closed)
    assert content(row, "attributes")["auditlog.stream.abandoned"]


def test_an_async_stream_has_a_duration_and_its_parents(recording):
    """An async generator lasts until its end, and its inner calls are its children."""

    @auditlog.tool
    async def inside():
        return 1

    @auditlog.model
    async def stream(messages):
        await inside()
        yield "a"
        await asyncio.sleep(0.01)
        yield "b"

    async def consume():
        return [item async for item in stream([])]

    assert ["a", "b"] == asyncio.run(consume())
    row = recording.named("stream")
    assert row["end_ns"] - row["start_ns"] >= 10_000_000
    assert row["span_id"] == recording.named("inside")["parent_span_id"]


def test_errors_pass_through_and_are_recorded(recording):
    """The caller sees the body's own exception; the record has its type, message and the body's frames."""

    @auditlog.tool
    def refuse(order_id):
        raise LookupError("no such order")

    with pytest.raises(LookupError, match="no such order"):
        refuse("x")
    row = recording.named("refuse")
    error = content(row, "error")
    assert ("error", "LookupError") == (row["status"], row["error_type"])
    assert "no such order" == error["message"]
    assert "in refuse" in error["stack"]
    assert "auditlog/decorators.py" not in error["stack"].replace("tests/auditlog", "tests")
    with pytest.raises(TypeError):
        refuse()


def test_a_plain_function_that_hands_out_a_coroutine_lasts_until_it_ends(recording):
    """A function that returns an awaitable is recorded with the awaited result."""

    async def work():
        return 5

    @auditlog.tool
    def start():
        return work()

    assert 5 == asyncio.run(start())
    assert 5 == content(recording.named("start"), "output")


def test_an_openai_answer_gives_model_and_tokens(recording):
    """Model served, tokens and finish reason are read out of an answer of OpenAI's shape."""

    @auditlog.model(provider="openai")
    def complete(messages, model, temperature=0):
        return {
            "id": "c-1",
            "model": "m-1-2026",
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        }

    complete([{"role": "user", "content": "hi"}], "m-1")
    row = recording.named("complete")
    assert ("m-1", "m-1-2026", 9, 2, 4) == tuple(
        row[name]
        for name in ("model_requested", "model_served", "input_tokens", "output_tokens", "cache_read_tokens")
    )
    assert {"temperature": 0} == json.loads(row["parameters"])
    assert ["stop"] == json.loads(row["finish_reasons"])


def test_facts_of_a_turn(recording):
    """annotate, evaluate, escalate and the conversation end up on the right spans."""

    @auditlog.tool(effect="control")
    def hand_over(reason):
        auditlog.escalate(reason, to="desk")

    @auditlog.agent("bot", version="v7")
    def answer(question):
        auditlog.annotate(prompt_name="support", prompt_version="12", cost_usd=0.25)
        auditlog.evaluate("politeness", 0.5, label="fair")
        hand_over("angry")

    with auditlog.conversation("case-1", user="u-1", tags={"channel": "chat"}):
        answer("hi")
    bot = recording.named("bot")
    assert ("case-1", "u-1", "v7", "12", 0.25, "angry", "desk") == tuple(
        bot[name]
        for name in (
            "conversation_id",
            "user_id",
            "agent_version",
            "prompt_version",
            "cost_usd",
            "escalation_reason",
            "escalation_to",
        )
    )
    assert {"channel": "chat"} == json.loads(bot["tags"])
    assert [{"name": "politeness", "value": 0.5, "label": "fair"}] == content(bot, "evaluations")
    handoff = recording.named("desk")
    assert ("handoff", "case-1", bot["span_id"]) == (
        handoff["kind"],
        handoff["conversation_id"],
        handoff["turn_id"],
    )


def test_a_review_says_what_a_person_changed(recording):
    """The draft, what was sent and who changed it are a span of the turn, and the turn says that it was changed."""

    @auditlog.agent
    def bot(question):
        auditlog.review("You get 50.", "You get 40.", by="ann")
        auditlog.review("Bye.", "Bye.")
        return "You get 40."

    bot("refund?")
    auditlog.review("outside", "of a turn")
    changed, same = (row for row in recording.rows if row["name"] == "review")
    assert {"draft": "You get 50.", "final": "You get 40.", "by": "ann"} == content(changed, "input")
    assert (recording.named("bot")["span_id"],) * 2 == (changed["parent_span_id"], same["parent_span_id"])
    facts = [content(row, "attributes") for row in (changed, same)]
    assert [True, False] == [said["auditlog.review.changed"] for said in facts]
    turn = content(recording.named("bot"), "attributes")
    assert ("ann", True) == (turn["auditlog.review.by"], turn["auditlog.review.changed"])


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
    assert {"card": "****", "amount": 5} == content(paid, "input")
    assert {"card": "****", "paid": 5} == content(paid, "output")
    assert {"$auditlog": "unredactable", "why": "KeyError"} == content(failed, "input")
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
    assert "ValueError" == content(row, "error")["type"]


def test_redact_may_mend_the_text_of_an_error(recording):
    """A function that understands text is given message and stack, and what it leaves is recorded."""

    def redact(value):
        return value.replace("Anna", "<name>") if isinstance(value, str) else value

    @auditlog.tool(redact=redact)
    def greet():
        raise LookupError("no Anna here")

    with pytest.raises(LookupError):
        greet()
    error = content(recording.named("greet"), "error")
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
    assert "(no order, 5)" == content(first, "error")["message"]
    assert second["lossy"]
    assert content(second, "error")["message"].endswith("Stuck)")


def test_reduce_says_what_a_stream_was(recording):
    """A stream's items are handed out one by one and recorded as what `reduce` makes of them."""

    @auditlog.model(reduce="".join)
    def stream(messages):
        yield "He"
        yield "llo"

    assert ["He", "llo"] == list(stream([]))
    row = recording.named("stream")
    assert ("Hello", True, True) == (content(row, "output"), row["stream"], row["lossy"])


def test_content_left_out_makes_the_span_lossy(recording):
    """A call whose content is not captured says that it cannot be replayed."""

    @auditlog.tool(capture_input=False, capture_output=False)
    def secret(pin):
        return pin

    secret("a pin in words")
    row = recording.named("secret")
    assert (None, None, True) == (row["input"], row["output"], row["lossy"])
    assert not any(b"a pin in words" in payload for payload in recording.sink.payloads)


@pytest.mark.parametrize(
    "decorate",
    [
        lambda: auditlog.tool(effect="reed"),
        lambda: auditlog.tool(efect="read"),
        lambda: auditlog.agent(7),
        lambda: auditlog.retriever(provider="x"),
    ],
)
def test_a_decorator_without_meaning_is_refused_at_once(decorate):
    """A wrong option is a ConfigurationError when the module is read, not in production."""
    with pytest.raises(ConfigurationError):
        decorate()


def test_unconfigured_decorators_do_nothing_and_say_so_once(monkeypatch, caplog):
    """Without a store the function just runs, and the log names the two ways to record."""
    monkeypatch.delenv("AUDITLOG_STORE", raising=False)
    monkeypatch.setattr(config._state, "recorder", None)
    monkeypatch.setattr(config._state, "settled", False)

    @auditlog.tool
    def double(n):
        auditlog.annotate(cost_usd=1)
        auditlog.escalate("x")
        return 2 * n

    assert [2, 4] == [double(1), double(2)]
    assert 1 == len(caplog.records)
    assert "auditlog.configure" in caplog.text


def test_the_environment_configures(monkeypatch, tmp_path):
    """AUDITLOG_STORE alone makes the decorators record."""
    monkeypatch.setenv("AUDITLOG_STORE", str(tmp_path / "audit"))
    monkeypatch.setattr(config._state, "recorder", None)
    monkeypatch.setattr(config._state, "settled", False)

    @auditlog.agent
    def bot(question):
        return "yes"

    bot("hi")
    assert auditlog.flush()
    auditlog.shutdown()
    with auditlog.Store.open(tmp_path / "audit") as store:
        assert ["yes"] == [turn.answer_text for turn in store.turns()]


def test_a_recorder_that_breaks_never_reaches_the_agent(recording, monkeypatch, caplog):
    """A fault while recording is counted and logged without content; the call goes on."""

    def explode(*args, **kwargs):
        raise RuntimeError("inside the recorder")

    monkeypatch.setattr("auditlog.recorder.payload_of", explode)

    @auditlog.tool
    def double(n):
        return 2 * n

    assert 4 == double(2)
    assert 2 == config.recorder().faults
    assert 1 == len(caplog.records)


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
    assert "done" == content(row, "output")
    assert 1 == sum(row["kind"] == "handoff" for row in recording.rows)


class EvasiveError(Exception):
    """Answers any name with another error."""

    def __getattr__(self, name):
        """Fail."""
        raise KeyError(name)


class MuddledError(Exception):
    """Holds facts that are none."""

    auditlog_facts = "none"


@pytest.mark.parametrize("kind", [EvasiveError, MuddledError])
def test_an_error_with_odd_attributes_is_raised_as_it_is(recording, kind):
    """The agent gets its own error, and the call is recorded as failed."""

    @auditlog.tool
    def fail():
        raise kind

    with pytest.raises(kind):
        fail()
    assert "error" == recording.named("fail")["status"]
