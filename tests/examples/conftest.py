"""What the tests of the sample agent share: a shop in memory, and a spy below the decorators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from auditlog import config, interception
from auditlog.interception import Call
from examples.support_bot.shop import Shop, use_shop


@dataclass
class Spy:
    """Notes the tools and retrievers that are called, and lets them run."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def before(self, call: Call) -> None:
        """Note the call, and let it happen."""
        if call.operation.kind in ("tool", "retriever"):
            self.calls.append((call.operation.name, dict(call.arguments)))

    def names(self) -> list[str]:
        """Give the names of what was called, in order."""
        return [name for name, _ in self.calls]


@pytest.fixture(autouse=True)
def embedded_and_unrecorded(monkeypatch) -> Iterator[None]:
    """Leave the machine's settings out: the embedded model, and no recorder but the test's own."""
    for name in ("MODEL", "SUPPORT_BOT_MODEL", "SUPPORT_BOT_BASE_URL", "SUPPORT_BOT_DB", "AUDITLOG_STORE"):
        monkeypatch.delenv(name, raising=False)
    config.use(None)
    yield
    config.use(None)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A fresh shop in memory, made the process's own."""
    fresh = Shop(":memory:")
    use_shop(fresh)
    yield fresh
    use_shop(None)
    fresh.close()


@pytest.fixture
def spy() -> Iterator[Spy]:
    """A spy below the decorators for the length of a test."""
    watching = Spy()
    interception.install(watching)
    yield watching
    interception.uninstall()
