"""What recording costs the agent: CPU of one turn of six calls with about 19 KB of content.

Prints one row for each way of running the same agent. Times are process CPU, so a busy machine disturbs them little;
each is the median of several batches.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable

import auditlog

logging.disable(logging.WARNING)  # One of the rows is the unconfigured case, which says so.

TURNS, BATCHES = 200, 7
ARTICLE = "You can send anything back within thirty days, unworn and in its box. " * 20
PROMPT = "You are the support agent of a shop. Be brief, be kind, promise nothing. " * 30


def search(question: str) -> list[dict[str, object]]:
    """Give three documents."""
    return [{"id": f"a-{n}", "content": ARTICLE, "score": 0.9 - n / 10, "source": "help"} for n in range(3)]


def look_up(order_id: str) -> dict[str, object]:
    """Give an order."""
    return {
        "order_id": order_id,
        "status": "shipped",
        "items": [{"sku": f"s-{n}", "price": 1999} for n in range(8)],
    }


def complete(messages: list[dict[str, str]], model: str) -> str:
    """Say something."""
    return "It has left our warehouse. " * 4


def build(decorate: Callable[[str], Callable[..., Callable]]) -> Callable[[str], str]:
    """Put an agent together of plain functions."""
    searching, looking = decorate("retriever")(search), decorate("tool")(look_up)
    completing = decorate("model")(complete)

    def answer(question: str) -> str:
        found = searching(question)
        system = {"role": "system", "content": PROMPT + str(found[0]["content"])}
        completing(messages=[system, {"role": "user", "content": question}], model="small")
        looking("A-1")
        looking("A-2")
        return completing(messages=[system, {"role": "user", "content": question}], model="small")

    return decorate("agent")(answer)


def microseconds(answer: Callable[[str], str]) -> float:
    """Give the CPU of one turn, in microseconds: the median over batches."""
    took = []
    for _ in range(BATCHES):
        begin = time.process_time()
        for _ in range(TURNS):
            answer("Where is my order?")
        took.append((time.process_time() - begin) / TURNS * 1e6)
    return statistics.median(took)


def main() -> None:
    """Print the table."""
    bare = microseconds(build(lambda _kind: lambda function: function))
    idle = microseconds(build(lambda kind: getattr(auditlog, kind)))
    with tempfile.TemporaryDirectory() as store:
        auditlog.configure(store)
        recorded = microseconds(build(lambda kind: getattr(auditlog, kind)))
        auditlog.shutdown()
    print(f"{'one turn of 6 calls':<34}{'CPU µs':>10}{'added µs':>10}")
    for name, value in (
        ("undecorated", bare),
        ("decorated, nothing configured", idle),
        ("recorded", recorded),
    ):
        print(f"{name:<34}{value:>10.1f}{value - bare:>10.1f}")


if __name__ == "__main__":
    main()
