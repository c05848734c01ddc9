"""Stores with recorded conversations of the shop's agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import auditlog
from auditlog import config
from auditlog.recorder import Recorder, Redacts
from auditlog.store import Store

AGENTS = Path(__file__).parent / "agents"
QUESTIONS = ("hello", "refund A1", "refund A2", "refund B9", "angry: where is it?", "crash")


@pytest.fixture(scope="session")
def agents(import_file: Callable[[Path], ModuleType]) -> ModuleType:
    """The module of the shop's agents, as the workers import it."""
    return import_file(AGENTS / "shop_agents.py")


def record_talks(
    path: Path,
    agent: Callable[..., object],
    talks: list[list[str]],
    *,
    prefix: str = "c",
    redactor: Redacts | None = None,
    **extra: object,
) -> None:
    """Record conversations, each a list of questions, into a store."""
    store = Store.create(path)
    previous = config._state.recorder
    config.use(Recorder(store.writer(), agent_version="v1", redactor=redactor))
    try:
        for number, questions in enumerate(talks):
            history: list[dict[str, str]] = []
            with auditlog.conversation(f"{prefix}{number}", user=f"u{number}", tags={"shop": "yes"}):
                for question in questions:
                    try:
                        answer = agent(question, list(history), **extra)
                    except LookupError as error:
                        answer = str(error)
                    history += [
                        {"role": "user", "content": question},
                        {"role": "assistant", "content": str(answer)},
                    ]
    finally:
        config.use(previous)
        store.close()


@pytest.fixture(scope="session")
def record() -> Callable[..., None]:
    """Record conversations, each a list of questions, into a store."""
    return record_talks


@pytest.fixture
def recorded(agents: ModuleType, tmp_path: Path) -> Iterator[Store]:
    """A store with two conversations of three turns each, by `v1`."""
    record_talks(tmp_path / "audit", agents.v1, [list(QUESTIONS[:3]), list(QUESTIONS[3:])])
    with Store.open(tmp_path / "audit") as store:
        yield store
