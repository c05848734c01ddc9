"""What a replay puts in the place of an agent's own model names, prompts and tools, and what stays as it is."""

from __future__ import annotations

import hashlib
import inspect
import sys
import types

import pytest

import auditlog
from auditlog import config, overrides
from auditlog.errors import ConfigurationError
from auditlog.overrides import Overrides, PromptOverride, ToolOverride
from auditlog.record import decode_record
from auditlog.recorder import ListSink, Recorder

DEFINITION = {"name": "look_up", "description": "Old.", "parameters": {"type": "object"}}


@pytest.fixture
def place():
    """Give what puts overrides in place for one test."""

    def placed(**what):
        overrides.install(Overrides(**what))
        return overrides.installed()

    yield placed
    overrides.install(Overrides())


@pytest.fixture
def sink():
    """Record into a list for one test."""
    previous = config._state.recorder
    found = ListSink()
    config.use(Recorder(found))
    yield found
    config.use(previous)


def inputs(sink):
    """Give what was recorded as input, oldest first."""
    records = [decode_record(payload) for payload in sink.take()]
    return [record.json("input") for record in records if record.type == "start"]


def test_without_overrides_nothing_is_in_place():
    """An ordinary process has none, and empty ones are none."""
    assert overrides.installed() is None
    assert not Overrides()


CALLS = {
    "default": lambda ask: ask("hi"),
    "by name": lambda ask: ask("hi", model="old"),
    "in place": lambda ask: ask("hi", "old"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_mapped_model_is_asked_and_recorded(call, place, sink):
    """However the name reaches the function, as a default too, the body and the record have the new one."""
    placed = place(models=(("old", "new"),))

    @auditlog.model
    def ask(messages, model="old", **rest):
        return model

    assert ("new", [{"messages": "hi", "model": "new"}], ("model old",)) == (
        call(ask),
        inputs(sink),
        placed.reached(),
    )
    assert "other" == ask("hi", model="other")


def test_a_model_among_further_arguments_is_mapped(place, sink):
    """A name that goes through `**options` is found there."""
    place(models=(("old", "new"),))

    @auditlog.model
    def ask(messages, **options):
        return options["model"]

    assert "new" == ask("hi", model="old", temperature=0)


async def test_every_kind_of_model_function_is_mapped(place, sink):
    """Coroutines, generators and asynchronous generators stay what they are, and get the new name."""
    place(models=(("old", "new"),))

    @auditlog.model
    async def later(model="old"):
        return model

    @auditlog.model
    def stream(model="old"):
        yield model

    @auditlog.model
    async def stream_later(model="old"):
        yield model

    class Client:
        @auditlog.model
        def ask(self, model="old"):
            return model

    assert inspect.iscoroutinefunction(later)
    assert inspect.isgeneratorfunction(stream)
    assert inspect.isasyncgenfunction(stream_later)
    given = [await later(), *stream(), *[item async for item in stream_later()], Client().ask()]
    assert ["new"] * 4 == given


def test_arguments_that_do_not_fit_raise_as_ever(place, sink):
    """A wrong call is the function's own TypeError."""
    place(models=(("old", "new"),))

    @auditlog.model
    def ask(messages):
        return messages

    with pytest.raises(TypeError, match="ask"):
        ask(1, 2, 3)


@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: {"type": "function", "function": d}], ids=["flat", "nested"]
)
def test_a_tools_definition_is_told_anew(wrap, place, sink):
    """Description and parameters change in the shapes of each client; other tools and the agent's own list do not."""
    placed = place(tools=(ToolOverride("look_up", "New.", '{"type": "string"}'),))
    asked = []

    @auditlog.model
    def ask(messages, tools):
        asked.append(tools)
        return ""

    own = [wrap(dict(DEFINITION)), wrap({"name": "other", "description": "Same."})]
    ask("hi", own)
    new = {"name": "look_up", "description": "New.", "parameters": {"type": "string"}}
    assert [[wrap(new), own[1]]] == asked
    assert ("Old.", ("tool look_up",)) == (
        (own[0].get("function") or own[0])["description"],
        placed.reached(),
    )


def test_anthropics_definition_keeps_its_name_for_parameters(place):
    """A definition with `input_schema` gets its schema there."""
    placed = place(tools=(ToolOverride("look_up", None, '{"type": "string"}'),))
    changed = placed.request({"tools": [{"name": "look_up", "input_schema": {}}]})
    assert {"tools": [{"name": "look_up", "input_schema": {"type": "string"}}]} == changed


def test_a_tools_docstring_is_its_new_description(place):
    """Definitions that are made of docstrings say the new words, and the definition's digest tells."""

    def look_up(order):
        """Old."""

    before = auditlog.tool(effect="read")(look_up)
    place(tools=(ToolOverride("look_up", "New."),))
    after = auditlog.tool(effect="read")(look_up)
    assert ("Old.", "New.") == (before.__doc__, after.__doc__)
    assert before.__auditlog__.digest != after.__auditlog__.digest


async def test_a_replaced_tool_runs_the_other_function(place, sink, monkeypatch):
    """Where the body would run, the replacement runs; name, effect and signature stay the tool's."""
    module = types.ModuleType("stubs")
    module.look_up = lambda order: {"stub": order}
    monkeypatch.setitem(sys.modules, "stubs", module)
    placed = place(tools=(ToolOverride("look_up", replace="stubs:look_up"),))

    @auditlog.tool("look_up", effect="read")
    def look_up(order):
        raise AssertionError

    @auditlog.tool("look_up", effect="read")
    async def look_up_later(order):
        raise AssertionError

    assert () == placed.reached()
    assert ({"stub": "A1"}, {"stub": "A1"}) == (look_up("A1"), await look_up_later("A1"))
    assert ("read", ("tool look_up",)) == (look_up.__auditlog__.effect, placed.reached())


def test_a_replacement_that_is_not_there_says_so_when_it_is_needed(place, sink):
    """A tool that is only served never looks for it."""
    place(tools=(ToolOverride("look_up", replace="no_such:thing"),))

    @auditlog.tool(effect="read")
    def look_up(order):
        return order

    with pytest.raises(
        ConfigurationError, match="look_up is replaced by no_such:thing, which cannot be found"
    ):
        look_up("A1")


class Completions:
    """What a client that looks like OpenAI's has."""

    def create(self, **asked):
        """Answer with what was asked."""
        return asked


def test_a_wrapped_client_asks_for_the_mapped_model(place, sink):
    """The agent's client is not changed, and sends the new name."""
    place(models=(("old", "new"),))
    client = types.SimpleNamespace(chat=types.SimpleNamespace(completions=Completions()))
    auditlog.wrap(client)
    assert {"model": "new", "messages": []} == client.chat.completions.create(model="old", messages=[])
    assert [{"model": "new", "messages": []}] == inputs(sink)


@pytest.mark.parametrize("extra", [None, {"model": "old"}])
def test_a_real_client_sends_the_mapped_model(extra, place, sink):
    """What goes over the wire has the new name, in the body and in what is added to it."""
    httpx = pytest.importorskip("httpx")
    openai = pytest.importorskip("openai")
    place(models=(("old", "new"),))
    sent = []

    def answer(request):
        sent.append(request.content)
        return httpx.Response(
            200, json={"id": "x", "object": "chat.completion", "created": 1, "model": "new", "choices": []}
        )

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = auditlog.wrap(openai.OpenAI(api_key="x", http_client=http))
    client.chat.completions.create(model="old", messages=[], extra_body=extra)
    assert [True] == [b'"model":"new"' in content and b"old" not in content for content in sent]
    http.close()


def test_a_prompt_gives_its_default_and_is_recorded(sink):
    """Outside of a replay a prompt is its text, and its name and version stand on the call and on the turn."""

    @auditlog.agent
    def answer(question):
        return auditlog.prompt("greeting", "Hello", version="3") + auditlog.prompt("farewell", "Bye")

    assert "HelloBye" == answer("?")
    ends = [decode_record(payload).json("attributes") for payload in sink.take()]
    said = ends[-1]
    digest = hashlib.sha256(b"Bye").hexdigest()[:12]
    assert {"greeting": "3", "farewell": digest} == said["auditlog.prompts"]
    assert ("farewell", said["auditlog.prompts"]["farewell"]) == (
        said["gen_ai.prompt.name"],
        said["gen_ai.prompt.version"],
    )


def test_a_prompt_outside_of_every_call_is_its_text():
    """At the top of a module there is nothing to record on."""
    assert "Hello" == auditlog.prompt("greeting", "Hello")


def test_a_replaced_prompt_is_given_with_its_version(place, sink):
    """The candidate's text stands in the place of the agent's own, and only under its name."""
    placed = place(prompts=(PromptOverride("greeting", "Ahoy", "4"),))

    @auditlog.model
    def ask(model="m"):
        return auditlog.prompt("greeting", "Hello", version="3") + auditlog.prompt(
            "other", "Bye", version="1"
        )

    assert ("AhoyBye", ("prompt greeting",)) == (ask(), placed.reached())
    said = decode_record(sink.take()[-1]).json("attributes")
    assert ("other", "1") == (said["gen_ai.prompt.name"], said["gen_ai.prompt.version"])
