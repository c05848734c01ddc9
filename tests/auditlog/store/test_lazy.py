"""Turns by id, whose fields are made when they are asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import auditlog
from auditlog import config
from auditlog.errors import DamageError
from auditlog.importers import import_into
from auditlog.record import encode_record
from auditlog.recorder import Recorder
from auditlog.store import Store
from auditlog.store import lazy as lazy_module
from auditlog.store.lazy import LazySpan, TurnsInOrder, turns_by_id
from auditlog.values import Span

SAMPLES = Path(__file__).parents[3] / "sample_traces"


@auditlog.tool(effect="read")
def look(order):
    """Look an order up."""
    if order == "none":
        raise KeyError(order)
    return {"order": order, "seen": object()} if order == "odd" else {"order": order}


@auditlog.retriever
def search(query):
    """Find documents."""
    return [{"id": "d1", "content": query, "score": 0.5}]


@auditlog.model(provider="openai")
def ask(messages, model="m", temperature=0):
    """Ask a model."""
    return {"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": {"prompt_tokens": 3}}


@auditlog.agent(version="7")
def answer(question):
    """Answer."""
    search(question)
    ask([{"role": "user", "content": question}])
    if question == "help":
        auditlog.escalate("asked for a person", to="desk")
    try:
        return look(question)
    except KeyError:
        return None


def record(store, *, samples=False):
    """Record turns of every kind of call, beside the sample traffic where it is asked for."""
    if samples:
        import_into(store, SAMPLES / "support_bot.v1.otlp.jsonl.gz")
    config.use(Recorder(store.writer()))
    try:
        for question in ("A1", "none", "odd", "help", ""):
            with auditlog.conversation(f"c-{question}", user="u", tags={"b": "2", "a": "1"}):
                answer(question)
    finally:
        config.use(None)
    store.refresh()


def whole_turns(store):
    """Give every recorded turn of a store, as it is read one conversation at a time."""
    return {turn.turn_id: turn for conversation in store.conversations() for turn in conversation.turns}


def test_every_field_of_a_span_can_be_made():
    """A field that is added to Span is not forgotten."""
    assert {field.name for field in dataclasses.fields(Span)} == set(lazy_module.fields_made())


@pytest.mark.parametrize(
    ("sealed", "samples"),
    [(True, False), (False, False), pytest.param(True, True, marks=pytest.mark.slow)],
)
def test_turns_are_the_same_read_both_ways(tmp_path, sealed, samples):
    """Every field of every span is what reading whole conversations gives."""
    with Store.create(tmp_path / "audit") as store:
        record(store, samples=samples)
        if sealed:
            store.seal()
        whole = whole_turns(store)
        found, size = turns_by_id(store, sorted(whole))
        assert size > 0
        assert whole.keys() == found.keys()
        lazy = 0
        for name, turn in whole.items():
            assert turn.agent.span_id == found[name].agent.span_id
            for ours, theirs in zip(found[name].spans, turn.spans, strict=True):
                lazy += isinstance(ours, LazySpan)
                for field in dataclasses.fields(Span):
                    assert (field.name, getattr(theirs, field.name)) == (
                        field.name,
                        getattr(ours, field.name),
                    )
        assert sum(len(turn.spans) for turn in whole.values()) == lazy


def test_content_that_is_not_what_was_sealed_is_not_given(tmp_path, monkeypatch):
    """A row whose leaf is another one is damage, and the message names the file."""
    with Store.create(tmp_path / "audit") as store:
        record(store)
        store.seal()
        name = next(iter(whole_turns(store)))
        monkeypatch.setattr(lazy_module, "leaf_hash", lambda _: b"another")
        with pytest.raises(DamageError, match=r"parquet is damaged"):
            turns_by_id(store, [name])


def test_a_turn_that_is_not_there_is_left_out(tmp_path):
    """Only what the store holds is given."""
    with Store.create(tmp_path / "audit") as store:
        assert turns_by_id(store, ["f" * 16])[0] == {}


def _in_order(store):
    return store.query(
        "SELECT turn_id FROM all_spans WHERE kind = 'agent' AND span_id = turn_id ORDER BY start_ns, turn_id"
    )["turn_id"].to_pylist()


def _same_turns(ours, theirs):
    assert theirs.keys() == ours.keys()
    for name, turn in theirs.items():
        assert [span.span_id for span in turn.spans] == [span.span_id for span in ours[name].spans]


@pytest.mark.parametrize("sealed", [True, False])
def test_turns_in_order_are_those_read_by_id(tmp_path, monkeypatch, sealed):
    """Whatever part of a list is read, and however much of it is known together, each turn is there whole."""
    monkeypatch.setattr(lazy_module, "_TOGETHER", 2)
    with Store.create(tmp_path / "audit") as store:
        record(store)
        record(store)
        if sealed:
            store.seal()
        names = _in_order(store)
        names = [*names[::-1], "f" * 16, *names]
        turns = TurnsInOrder(store, names)
        for first in range(len(names)):
            for end in {first + 1, first + 2, len(names)} - {len(names) + 1}:
                _same_turns(
                    turns.read(names[first:end], first, end)[0], turns_by_id(store, names[first:end])[0]
                )


def test_what_comes_later_belongs_to_its_turn(tmp_path, monkeypatch):
    """A span that came into the store after the first look is read with its turn, whenever it began."""
    monkeypatch.setattr(lazy_module, "_TOGETHER", 1)
    with Store.create(tmp_path / "audit") as store:
        record(store)
        store.seal()
        names = _in_order(store)
        assert len(names) > 1
        turns = TurnsInOrder(store, names)
        before = turns.read(names[:1], 0, 1)[0][names[0]]
        agent = before.agent
        span = {
            "type": "span",
            "time": agent.end_ns + 10**12,
            "end": agent.end_ns + 10**12 + 5,
            "status": "ok",
            "trace": agent.trace_id,
            "span": "e" * 16,
            "parent": agent.span_id,
            "turn": agent.span_id,
            "conversation": agent.conversation_id,
            "kind": "tool",
            "name": "late",
            "source": "decorator",
        }
        writer = store.writer()
        assert writer.append(encode_record(span, {"attributes": b"{}"}))
        writer.close()
        for refresh in (store.refresh, store.seal):
            refresh()
            found = turns.read(names[:1], 0, 1)[0][names[0]]
            assert len(before.spans) + 1 == len(found.spans)
            assert "late" in {each.name for each in found.spans}


def test_a_list_is_read_only_where_it_lies(tmp_path, monkeypatch):
    """The whole store is looked through once, and each reading says when what it wants began."""
    monkeypatch.setattr(lazy_module, "_TOGETHER", 1)
    with Store.create(tmp_path / "audit") as store:
        record(store)
        store.seal()
        names = _in_order(store)
        asked, query = [], store.query
        monkeypatch.setattr(store, "query", lambda sql, params=(): (asked.append(sql), query(sql, params))[1])
        turns = TurnsInOrder(store, names)
        for place, name in enumerate(names):
            assert turns.read([name], place, place + 1)[0].keys() == {name}
        assert 1 == sum("GROUP BY listed.part" in sql for sql in asked)
        assert len(names) == sum("start_ns BETWEEN" in sql for sql in asked)
