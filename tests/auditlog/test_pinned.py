"""`auditlog.now`, `rng`, `uuid4`: plain outside of a turn, kept on the span inside one."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditlog
from auditlog import pinned
from auditlog.record import decode_record
from auditlog.redaction.kinds import known_kinds
from auditlog.redaction.redactor import Redactor


def kept(payloads):
    """Give what each span kept, by the span's name."""
    names, found = {}, {}
    for record in map(decode_record, payloads):
        if record.type == "start":
            names[record.entry["span"]] = record.entry["name"]
        elif record.type == "end":
            attributes = record.json("attributes") or {}
            if pinned.ATTRIBUTE in attributes:
                found[names[record.entry["span"]]] = attributes[pinned.ATTRIBUTE]
    return found


@pytest.fixture
def source():
    """Put sources in, and take them out again."""
    yield pinned.serve_from
    pinned.serve_from(None)


def test_outside_of_a_turn_each_is_the_plain_thing():
    """Without a turn around it, the time is now, ids differ, and generators too; nothing is kept anywhere."""
    assert abs(auditlog.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert auditlog.now().tzinfo is UTC
    assert auditlog.uuid4() != auditlog.uuid4()
    assert auditlog.uuid4().version == 4
    assert auditlog.rng().random() != auditlog.rng().random()


def test_inside_a_turn_what_is_given_is_kept_on_the_innermost_span(recording):
    """Each call keeps what its own body was given, by kind and in order."""
    given_out = {}

    @auditlog.tool(effect="read")
    def tool():
        given_out["tool"] = auditlog.uuid4()

    @auditlog.agent
    def agent():
        given_out["now"] = [auditlog.now(), auditlog.now(timezone(timedelta(hours=2)))]
        given_out["drawn"] = auditlog.rng().random()
        tool()

    agent()
    found = kept(recording.sink.payloads)
    assert [moment.astimezone(UTC).isoformat() for moment in given_out["now"]] == found["agent"]["now"]
    assert timedelta(hours=2) == given_out["now"][1].utcoffset()
    assert given_out["drawn"] == random.Random(pinned.number_of(found["agent"]["rng"][0])).random()
    assert {"uuid4": [pinned.letters(given_out["tool"].int)]} == found["tool"]


def test_a_turn_that_asks_for_nothing_keeps_nothing(recording):
    """The attribute is only there where somebody asked."""
    auditlog.agent(lambda: "hello")()
    assert {} == kept(recording.sink.payloads)


def test_threads_of_one_call_are_given_different_counters(recording, source):
    """However many threads ask at once, each counter is asked for once, and all values are kept."""
    asked = []
    source(lambda frame, kind, count: asked.append((kind, count)))

    @auditlog.agent
    async def agent():
        await asyncio.gather(*(asyncio.to_thread(auditlog.uuid4) for _ in range(50)))

    asyncio.run(agent())
    assert [("uuid4", n) for n in range(50)] == sorted(asked)
    assert 50 == len(set(kept(recording.sink.payloads)["agent"]["uuid4"]))


def test_a_source_is_asked_first_and_what_it_gives_is_given_and_kept(recording, source):
    """A replay's values are handed out, and are on the replayed span again; what it does not know is fresh."""
    moment, number = "2026-01-02T03:04:05.000006+00:00", uuid.uuid4()
    values = {("now", 0): moment, ("uuid4", 0): pinned.letters(number.int), ("rng", 0): pinned.letters(7)}
    source(lambda frame, kind, count: values.get((kind, count)))
    given_out = []

    @auditlog.agent
    def agent():
        given_out.extend([auditlog.now(), auditlog.uuid4(), auditlog.rng().random(), auditlog.now()])

    agent()
    assert [datetime.fromisoformat(moment), number, random.Random(7).random()] == given_out[:3]
    assert abs(given_out[3] - datetime.now(UTC)) < timedelta(minutes=1)
    assert moment == kept(recording.sink.payloads)["agent"]["now"][0]


@pytest.mark.parametrize("nonsense", ["", "<redacted>", "zz", "2026-13-01", "2026-01-01T00:00:00"])
def test_a_recorded_value_that_is_none_is_as_good_as_missing(nonsense, recording, source):
    """What a recording holds of a value may be anything, and never raises into the agent."""
    source(lambda frame, kind, count: nonsense)

    @auditlog.agent
    def agent():
        return auditlog.now().tzinfo is UTC, auditlog.uuid4().version, auditlog.rng().random() < 1

    assert (True, 4, True) == agent()


def test_who_asks_without_end_keeps_the_first_values_only(recording, monkeypatch):
    """A loop that asks for the time does not grow its span without end, and the span says what it lost."""
    monkeypatch.setattr(pinned, "MOST", 3)

    @auditlog.agent
    def agent():
        return [auditlog.now() for _ in range(5)]

    assert 5 == len(agent())
    end = decode_record(recording.sink.payloads[-1]).json("attributes")
    assert (3, 2) == (len(end[pinned.ATTRIBUTE]["now"]), end[pinned.DROPPED])


def test_a_thread_without_the_context_is_outside_of_the_turn(recording):
    """A bare thread's values belong to no span, as its calls belong to no turn."""

    @auditlog.agent
    def agent():
        thread = threading.Thread(target=auditlog.now)
        thread.start()
        thread.join()

    agent()
    assert {} == kept(recording.sink.payloads)


@given(st.integers(0, 2**128 - 1), st.datetimes(timezones=st.just(UTC)))
def test_redaction_finds_nothing_in_what_is_kept(number, moment):
    """A value that redaction took for a card's number would not come back in a replay."""
    attributes = {pinned.ATTRIBUTE: {"uuid4": [pinned.letters(number)], "now": [moment.isoformat()]}}
    assert {} == REDACTOR.text(orjson.dumps(attributes)).counts
    assert number == pinned.number_of(pinned.letters(number))


REDACTOR = Redactor(list(known_kinds()), key=b"k" * 32)
