"""What an attacker that is a model was asked, and what it wrote: kept in the store.

The rules:

1. Each asking is a record (`replay_attack_asked`): what was sent, word for word, and what came of it. It stands with the recorded
   turn whose words were sent, and is erased with it.
2. A campaign that goes on takes its earlier answers from here, in their order, and asks for none of them again. An answer to
   another question is none.
3. A record that is foreign, erased or newer is no answer.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from replay.attack.model import Host
from replay.risks.tried import contents
from replay.running.records import SOURCE_SPAN, SOURCE_TRACE, run_span

if TYPE_CHECKING:
    from auditlog.store import Store

ASKED = "replay_attack_asked"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a model, and its answer."""

    question: str
    texts: tuple[str, ...] = ()
    """What it wrote, with gaps."""
    why: str = ""
    """Why there is no answer."""
    tokens: int = 0

    @property
    def digest(self) -> str:
        """What tells the question from another."""
        return hashlib.sha256(self.question.encode("utf-8", "surrogatepass")).hexdigest()


class Notebook:
    """The questions of one campaign, in their order."""

    def __init__(self, before: Iterable[Asked] = ()) -> None:
        """Begin.

        Args:
            before: what earlier processes of the campaign asked, oldest first.
        """
        self._before = deque(before)
        self._new: deque[tuple[Asked, Host]] = deque()

    def known(self, question: str) -> Asked | None:
        """Give what was answered to the next question; None where it was not asked, or another one was."""
        if self._before and self._before[0].digest == Asked(question).digest:
            return self._before.popleft()
        self._before.clear()
        return None

    def write(self, asked: Asked, host: Host) -> None:
        """Keep an answer."""
        self._new.append((asked, host))

    def records(self, run_id: str) -> Iterator[tuple[bytes, int]]:
        """Give the records of what is new, with the tokens that it took, and forget it."""
        while self._new:
            asked, host = self._new.popleft()
            place = {SOURCE_TRACE: host.trace_id, SOURCE_SPAN: host.span_id}
            # A conversation of its own: what is erased with a customer must not take the campaign's records along.
            conversation = f"{run_id}/asked/{asked.digest[:16]}"
            yield run_span(ASKED, run_id, asdict(asked), place, conversation), asked.tokens


def earlier(store: Store, run_id: str) -> list[Asked]:
    """Give what the earlier processes of a campaign asked, oldest first."""
    return [
        asked
        for name, content in contents(store, ASKED)
        if name == run_id and (asked := _read(content)) is not None
    ]


def _read(content: Mapping[str, Any]) -> Asked | None:
    match content:
        case {"question": str(question), "texts": [*texts], "why": str(why), "tokens": int(tokens)}:
            return Asked(question, tuple(map(str, texts)), why, tokens)
        case _:
            return None
