"""The decorators keep a function what it was, and record what it did."""

import asyncio
import inspect
import json

import pytest

import auditlog
from auditlog import config
from auditlog.errors import ConfigurationError


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
    assert {"order_id": "y"} == json.loads(recording.named("named")["input"])
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
    assert {"a": 1} == json.loads(recording.named("method")["input"])
    assert {"a": 1} == json.loads(recording.named("of_class")["input"])
    assert {"a": 1, "rest": [5, 6], "b": 2, "c": 3} == json.loads(recording.named("static")["input"])


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
    assert [{"name": "politeness", "value": 0.5, "label": "fair"}] == json.loads(bot["evaluations"])
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
    assert {"draft": "You get 50.", "final": "You get 40.", "by": "ann"} == json.loads(changed["input"])
    assert (recording.named("bot")["span_id"],) * 2 == (changed["parent_span_id"], same["parent_span_id"])
    facts = [json.loads(row["attributes"]) for row in (changed, same)]
    assert [True, False] == [said["auditlog.review.changed"] for said in facts]
    turn = json.loads(recording.named("bot")["attributes"])
    assert ("ann", True) == (turn["auditlog.review.by"], turn["auditlog.review.changed"])


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
