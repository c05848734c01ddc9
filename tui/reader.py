"""The thread that reads the store: the screens ask, and are told by messages.

The rules:

1. One thread does all the reading, on its own connection, in the order of the questions.
2. A question replaces an older one under the same key that has not been begun; an answer that has been replaced is dropped.
3. An answer is a message to whoever asked: nothing here touches a widget.
4. An error that auditlog raises on purpose comes back as a sentence; any other error is named too, and never kills the
   screen. Where the store itself is gone, that is what is said.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.message_pump import MessagePump

from auditlog.errors import AuditlogError, DamageError
from auditlog.safe_text import safe_text

if TYPE_CHECKING:
    from auditlog.store import Store

SENTENCE_CELLS = 600


class Answer(Message):
    """What the reader found."""

    def __init__(self, topic: str, value: Any, error: str | None, *, damage: bool = False) -> None:
        """Tell it.

        Args:
            topic: the question's name.
            value: the answer; None with an error.
            error: a clean sentence that says what went wrong; None where nothing did.
            damage: whether a file is not what was sealed.
        """
        super().__init__()
        self.topic = topic
        self.value = value
        self.error = error
        self.damage = damage


@dataclass(slots=True)
class _Question:
    asker: MessagePump
    topic: str
    key: str
    work: Callable[[Store], Any]
    serial: int = field(default=0)


class Reader:
    """Reads one store on a thread of its own."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        """Prepare to read; the store is opened on the thread, with the first question."""
        self._opened = opened
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._latest: dict[tuple[int, str], int] = {}
        self._serial = 0
        self._thread = threading.Thread(target=self._run, name="auditlog-tui-reader", daemon=True)
        self._started = False
        self._closed = False

    def ask(
        self, asker: MessagePump, topic: str, work: Callable[[Store], Any], *, key: str | None = None
    ) -> None:
        """Ask a question; its answer comes as an `Answer` message.

        Args:
            asker: who is told.
            topic: the question's name, given back with the answer.
            work: what to do with the store, on the reader's thread; what a generator yields comes as answers to
                `<topic>_progress`, and what it returns as the answer.
            key: what a newer question replaces; the topic where it is None.
        """
        if not self._started:
            self._started = True
            self._thread.start()
        self._serial += 1
        question = _Question(asker, topic, key or topic, work, self._serial)
        self._latest[id(asker), question.key] = question.serial
        self._questions.put(question)

    def close(self) -> None:
        """Let the thread end after what it is doing, and wait a moment for that."""
        self._closed = True
        if self._started:
            self._questions.put(None)
            self._thread.join(timeout=2)

    @property
    def busy(self) -> bool:
        """Whether the thread is still at work."""
        return self._started and self._thread.is_alive()

    def _run(self) -> None:
        store: Store | None = None
        while (question := self._questions.get()) is not None:
            if self._closed or not self._is_latest(question):
                continue
            value, error, damage = None, None, False
            try:
                if store is None:
                    store = self._opened()
                    store.shows_structure = True
                value = question.work(store)
                if isinstance(value, Generator):
                    value = self._exhausted(question, value)
            except AuditlogError as raised:
                error = safe_text(str(raised), width=SENTENCE_CELLS)
                damage = isinstance(raised, DamageError)
            except Exception as raised:  # noqa: BLE001 - rule 4: the screen goes on and says what happened
                error = safe_text(
                    f"Reading the store failed: {type(raised).__name__}: {raised}", width=SENTENCE_CELLS
                )
            if error is not None and store is not None and not (store.path / "store.toml").exists():
                error = safe_text(_gone(str(store.path)), width=SENTENCE_CELLS)
            if self._is_latest(question):
                question.asker.post_message(Answer(question.topic, value, error, damage=damage))
        if store is not None:
            store.close()

    def _exhausted(self, question: _Question, values: Generator[Any, None, Any]) -> Any:
        """Tell each value that comes on the way, and give the one at the end."""
        try:
            while self._is_latest(question) and not self._closed:
                question.asker.post_message(Answer(f"{question.topic}_progress", next(values), None))
        except StopIteration as end:
            return end.value
        return None

    def _is_latest(self, question: _Question) -> bool:
        return self._latest.get((id(question.asker), question.key)) == question.serial


def _gone(path: str) -> str:
    return f"The store {path} is gone: it was moved or deleted while it was open. Put it back, or open it where it is."
