"""Executions to score: made by hand, and of a run of the shop's agents."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditlog.store import Store
from auditlog.values import Document, Fault, Replay, Span, Turn
from replay.running.cases import Case
from replay.scorers.model import Subject

PLUGINS = Path(__file__).parent / "plugins"
AGENTS = Path(__file__).parents[1] / "agents"
CASE = Case("c" * 16, "talk", "a" * 32, "b" * 16, 0)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the odd scorers, on the path of this process as well."""
    monkeypatch.setattr(sys, "path", [str(PLUGINS), *sys.path])
    return PLUGINS


@pytest.fixture
def make_turn() -> Callable[..., Turn]:
    """Make a turn of an answer and its calls."""
    made = iter(range(1, 10_000))

    def span_id() -> str:
        return f"{next(made):016x}"

    def make(
        answer: Any = "Fine.",
        *,
        question: str = "hello",
        calls: tuple[dict[str, Any], ...] = (),
        status: str = "ok",
        documents: tuple[str, ...] = (),
        **agent: Any,
    ) -> Turn:
        turn_id = span_id()
        common = {"trace_id": "a" * 32, "conversation_id": "talk", "turn_id": turn_id}
        first = Span(
            span_id=turn_id,
            kind="agent",
            name="bot",
            status=status,
            start_ns=1,
            end_ns=1_000_000,
            input={"question": question},
            output=answer,
            **{**common, **agent},
        )
        spans = [first]
        for number, call in enumerate(calls, start=2):
            fields = dict(call)
            tier = fields.pop("tier", None)
            fault = fields.pop("fault", None)
            replayed = Replay("run", "candidate", match_tier=tier) if tier else None
            spans.append(
                Span(
                    span_id=span_id(),
                    parent_span_id=turn_id,
                    kind=fields.pop("kind", "tool"),
                    start_ns=number * 10,
                    end_ns=number * 10 + 5,
                    status="error" if fault else "ok",
                    fault=Fault(fault) if fault else None,
                    replay=replayed,
                    **{**common, **fields},
                )
            )
        if documents:
            spans.append(
                Span(
                    span_id=span_id(),
                    parent_span_id=turn_id,
                    kind="retriever",
                    name="find",
                    start_ns=5,
                    end_ns=6,
                    documents=tuple(Document(f"d{n}", text) for n, text in enumerate(documents)),
                    **common,
                )
            )
        return Turn(first, tuple(spans))

    return make


@pytest.fixture
def make_subject(make_turn: Callable[..., Turn]) -> Callable[..., Subject]:
    """Make an execution to judge of turns, or of answers."""

    def make(run: Any = None, **beside: Any) -> Subject:
        def turn(given: Any) -> Any:
            return given if isinstance(given, Turn) or given is None else make_turn(given)

        for name in ("reference", "recorded"):
            beside[name] = turn(beside.get(name))
        return Subject(CASE, turn(make_turn() if run is None else run), **beside)

    return make


@pytest.fixture(scope="session")
def scored_run(agents: Any, record: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished run of `generous` against `v1`; copy it before writing to it."""
    from replay import plan, run

    path = tmp_path_factory.mktemp("scored") / "audit"
    record(
        path, agents.v1, [["hello", "refund A1", "refund A2"], ["refund B9", "angry: where is it?", "crash"]]
    )
    with Store.open(path) as store:
        planned = plan(
            store, "shop_agents:generous", baseline="shop_agents:v1", sample=1.0, path=AGENTS, workers=1
        )
        run(store, planned)
    return path


@pytest.fixture
def run_store(scored_run: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of the store with the finished run."""
    shutil.copytree(scored_run, tmp_path / "audit")
    with Store.open(tmp_path / "audit") as store:
        yield store
