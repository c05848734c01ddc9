"""Turns by id, whose fields are made when they are asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import auditlog
from auditlog import config
from auditlog.errors import DamageError
from auditlog.importers import import_into
from auditlog.recorder import Recorder
from auditlog.store import Store
from auditlog.store import lazy as lazy_module
from auditlog.store.lazy import LazySpan, turns_by_id
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
