"""What recording costs the agent: one turn of six calls with about 19 KB of content, against what others take for it.

The rules:

1. Every row runs the same agent in a process of its own, and takes part in every round: what disturbs the machine
   disturbs all rows. Figures are medians over rounds; ratios are of what a row adds to the undecorated agent.
2. CPU is that of the whole process, background threads included. Wall is what the caller waits for a turn; its ratio stands
   there for the median round and for the best one, which the machine's other work disturbed least.
3. Nobody talks to a network: the OpenTelemetry SDK and Langfuse end in an exporter that drops what it gets.
4. What a burst of turns left in the store is read back and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import inspect
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

logging.disable(logging.WARNING)

MODES = ("sync", "async", "8 threads")
THREADS = 8
BURST = 1500
ARTICLE = "You can send anything back within thirty days, unworn and in its box. " * 20
PROMPT = "You are the support agent of a shop. Be brief, be kind, promise nothing. " * 30

Decorate = Callable[[str], Callable[[Callable[..., Any]], Callable[..., Any]]]


def search(question: str) -> list[dict[str, object]]:
    """Give three documents."""
    return [{"id": f"a-{n}", "content": ARTICLE, "score": 0.9 - n / 10, "source": "help"} for n in range(3)]


def look_up(order_id: str) -> dict[str, object]:
    """Give an order."""
    items = [{"sku": f"s-{n}", "price": 1999} for n in range(8)]
    return {"order_id": order_id, "status": "shipped", "items": items}


def complete(messages: list[dict[str, str]], model: str) -> str:
    """Say something."""
    return "It has left our warehouse. " * 4


def build(decorate: Decorate) -> Callable[[str], str]:
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


def build_async(decorate: Decorate) -> Callable[[str], Any]:
    """Put the same agent together of coroutines."""

    def asynchronous(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return run

    searching, looking = decorate("retriever")(asynchronous(search)), decorate("tool")(asynchronous(look_up))
    completing = decorate("model")(asynchronous(complete))

    async def answer(question: str) -> str:
        found = await searching(question)
        system = {"role": "system", "content": PROMPT + str(found[0]["content"])}
        await completing(messages=[system, {"role": "user", "content": question}], model="small")
        await looking("A-1")
        await looking("A-2")
        return await completing(messages=[system, {"role": "user", "content": question}], model="small")

    return decorate("agent")(answer)


# The ways of running it. Each sets the process up, and gives the decorators; on leaving it cleans up.


@contextlib.contextmanager
def undecorated(_store: Path) -> Iterator[Decorate]:
    """Run the agent alone."""
    yield lambda _kind: lambda function: function


@contextlib.contextmanager
def encoded(_store: Path) -> Iterator[Decorate]:
    """Encode arguments and results, and keep nothing."""
    import orjson

    def decorate(_kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return _around(lambda given: (orjson.dumps(given), None)[1], lambda _, result: orjson.dumps(result))

    yield decorate


@contextlib.contextmanager
def in_memory(_store: Path) -> Iterator[Decorate]:
    """Record without a journal."""
    import auditlog
    from auditlog import config
    from auditlog.call import unrecorded

    config.use(unrecorded)
    yield lambda kind: getattr(auditlog, kind)
    auditlog.shutdown()


@contextlib.contextmanager
def idle(_store: Path) -> Iterator[Decorate]:
    """Decorate, and configure nothing."""
    import auditlog

    yield lambda kind: getattr(auditlog, kind)


@contextlib.contextmanager
def recorded(store: Path, **options: Any) -> Iterator[Decorate]:
    """Record into a store."""
    import auditlog

    auditlog.configure(store, **options)
    yield lambda kind: getattr(auditlog, kind)
    auditlog.shutdown()


@contextlib.contextmanager
def redacted(store: Path) -> Iterator[Decorate]:
    """Record into a store, with redaction."""
    with recorded(store, redact=True) as decorate:
        yield decorate


@contextlib.contextmanager
def recorded_beside_sdk(store: Path) -> Iterator[Decorate]:
    """Record into a store where the user runs an SDK provider."""
    from opentelemetry import trace

    trace.set_tracer_provider(_provider())
    with recorded(store) as decorate:
        yield decorate


@contextlib.contextmanager
def sdk(_store: Path) -> Iterator[Decorate]:
    """Open a span of the SDK for each call, with arguments and result as JSON text."""
    import orjson
    from opentelemetry import trace

    provider = _provider()
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("bench")

    def decorate(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def begin(given: Any) -> Any:
            manager = tracer.start_as_current_span(
                kind, attributes={"gen_ai.operation.name": kind, "input": orjson.dumps(given).decode()}
            )
            return manager, manager.__enter__()

        def end(begun: Any, result: Any) -> None:
            manager, span = begun
            span.set_attribute("output", orjson.dumps(result).decode())
            manager.__exit__(None, None, None)

        return _around(begin, end)

    yield decorate
    provider.shutdown()


@contextlib.contextmanager
def langfuse(_store: Path) -> Iterator[Decorate]:
    """Observe each call with Langfuse's decorator."""
    os.environ |= {"LANGFUSE_MEDIA_UPLOAD_ENABLED": "false"}
    from langfuse import Langfuse, observe

    client = Langfuse(
        public_key="pk-none",
        secret_key="none",  # noqa: S106 - it goes nowhere
        base_url="http://127.0.0.1:9",
        span_exporter=_null_exporter(),
    )
    kinds = {"model": "generation"}
    yield lambda kind: observe(as_type=kinds.get(kind, kind))  # type: ignore[call-overload]
    client.shutdown()


ROWS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Decorate]]] = {
    "undecorated": undecorated,
    "decorated, nothing configured": idle,
    "orjson of both sides": encoded,
    "recorded, no journal": in_memory,
    "recorded": recorded,
    "recorded, SDK provider": recorded_beside_sdk,
    "recorded, redacted": redacted,
    "SDK with payload": sdk,
    "Langfuse": langfuse,
}
BASE = "SDK with payload"
TARGETS = {"recorded": (0.5, 0.25), "recorded, SDK provider": (1.2, 0.25), "recorded, redacted": (2.0, None)}
"""The most of the SDK's and of Langfuse's added time that a row may take."""


def _null_exporter() -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Null(SpanExporter):
        def export(self, spans: Any) -> Any:  # noqa: ARG002
            return SpanExportResult.SUCCESS

    return Null()


def _provider() -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_null_exporter()))
    return provider


def _around(
    begin: Callable[[Any], Any], end: Callable[[Any, Any], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            async def run_async(*args: Any, **kwargs: Any) -> Any:
                begun = begin((args, kwargs))
                result = await function(*args, **kwargs)
                end(begun, result)
                return result

            return run_async

        def run(*args: Any, **kwargs: Any) -> Any:
            begun = begin((args, kwargs))
            result = function(*args, **kwargs)
            end(begun, result)
            return result

        return run

    return decorate


# One row's process: it reads a mode and a number of turns a line, and answers with what they took.


class Took(NamedTuple):
    """What some turns took, in microseconds."""

    cpu: float
    """A turn's, of the whole process."""
    wall: float
    """A turn's, of all threads together."""
    each: list[float]
    """The wall time of every turn."""


def serve(row: str, store: Path) -> None:
    """Run turns on request."""
    question = "Where is my order?"
    with ROWS[row](store) as decorate:
        answer, answer_async = build(decorate), build_async(decorate)

        def turns(count: int, each: list[float]) -> None:
            for _ in range(count):
                begin = time.perf_counter_ns()
                answer(question)
                each.append((time.perf_counter_ns() - begin) / 1000)

        async def turns_async(count: int, each: list[float]) -> None:
            for _ in range(count):
                begin = time.perf_counter_ns()
                await answer_async(question)
                each.append((time.perf_counter_ns() - begin) / 1000)

        def run(mode: str, count: int, each: list[float]) -> None:
            if mode == "sync":
                turns(count, each)
            elif mode == "async":
                asyncio.run(turns_async(count, each))
            else:
                share = count // THREADS
                threads = [threading.Thread(target=turns, args=(share, each)) for _ in range(THREADS)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        for line in sys.stdin:
            mode, count = json.loads(line)
            each: list[float] = []
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            run(mode, count, each)
            cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
            print(json.dumps([cpu / count / 1000, wall / count / 1000, each]), flush=True)


class Row:
    """The process of one row, and what it took so far."""

    def __init__(self, name: str, directory: Path) -> None:
        """Start the process."""
        self.name = name
        self.store = directory / name.replace(" ", "-").replace(",", "")
        self.took: dict[str, list[Took]] = {mode: [] for mode in MODES}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, str(self.store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, mode: str, count: int) -> Took:
        """Run some turns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([mode, count]), file=self._process.stdin, flush=True)
        return Took(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def cpu(self, mode: str) -> float:
        """Give a turn's CPU."""
        return statistics.median(took.cpu for took in self.took[mode])

    def wall(self, mode: str) -> float:
        """Give a turn's wall time."""
        return statistics.median(took.wall for took in self.took[mode])

    def best(self, mode: str) -> float:
        """Give the wall time of a turn that nothing disturbed: the tenth of a round's that were quickest, of the best round."""
        return min(statistics.quantiles(took.each, n=10)[0] for took in self.took[mode])

    def quantiles(self, mode: str) -> tuple[float, float]:
        """Give the median and the 99th percentile of single turns, the median over rounds."""
        cuts = [statistics.quantiles(took.each, n=100) for took in self.took[mode]]
        return statistics.median(c[49] for c in cuts), statistics.median(c[98] for c in cuts)


def table(rows: dict[str, Row], mode: str) -> None:
    """Print one mode's figures; ratios are of what the SDK's spans add, and of what Langfuse's do."""
    bare, base, peer = rows["undecorated"], rows[BASE], rows.get("Langfuse")
    print(
        f"\n{mode:<32}{'CPU µs':>8}{'of SDK':>8}{'of Lf.':>8}{'wall µs':>9}{'of SDK':>8}{'best µs':>9}{'of SDK':>8}"
        f"{'of Lf.':>8}{'p50':>8}{'p99':>8}  target"
    )
    for name, row in rows.items():
        cpu, wall, best = (
            _ratios(of(row), of(bare), of(base), None if peer is None else of(peer))
            for of in (lambda r: r.cpu(mode), lambda r: r.wall(mode), lambda r: r.best(mode))
        )
        middle, worst = row.quantiles(mode)
        print(
            f"{name:<32}{cpu.added:>8.0f}{cpu.of_sdk:>8.2f}{cpu.of_peer:>8.2f}{wall.added:>9.0f}{wall.of_sdk:>8.2f}"
            f"{best.added:>9.0f}{best.of_sdk:>8.2f}{best.of_peer:>8.2f}{middle:>8.0f}{worst:>8.0f}  {_verdict(name, best)}"
        )


class Ratios(NamedTuple):
    """What a row adds to the undecorated agent, and how much that is of what others add."""

    added: float
    of_sdk: float
    of_peer: float


def _ratios(row: float, bare: float, base: float, peer: float | None) -> Ratios:
    added = row - bare
    return Ratios(added, added / (base - bare), added / (peer - bare) if peer is not None else float("nan"))


def _verdict(name: str, best: Ratios) -> str:
    if name not in TARGETS:
        return ""
    most, most_of_peer = TARGETS[name]
    told = f"≤ {most} of SDK: {'yes' if best.of_sdk <= most else 'NO'}"
    if most_of_peer is None:
        return told
    return f"{told}; ≤ {most_of_peer} of Lf.: {'NO' if best.of_peer > most_of_peer else 'yes'}"


def burst(store: Path) -> None:
    """Record turns back to back in a process of their own, read the store back, and count."""
    row = Row("recorded", store)
    took = row.run("sync", BURST)
    row.close()
    from auditlog.store import Store

    with Store.open(row.store) as opened:
        turns, spans = (
            opened.query("SELECT count(DISTINCT turn_id), count(*) FILTER (status = 'ok') FROM spans")
            .to_pydict()
            .values()
        )
    print(
        f"\nburst of {BURST} turns: {took.wall:.0f} µs a turn; read back {turns[0]} turns, {spans[0]} whole spans "
        f"of {BURST * 6}: {'nothing lost' if spans[0] == BURST * 6 else 'LOST'}"
    )


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--serve", nargs=2, metavar=("ROW", "STORE"), help=argparse.SUPPRESS)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--turns", type=int, default=400)
    arguments.add_argument(
        "--rows", help="only these, by comma; the undecorated agent and the SDK are always there"
    )
    given = arguments.parse_args()
    if given.serve:
        serve(given.serve[0], Path(given.serve[1]))
        return
    names = set(given.rows.split(";") if given.rows else ROWS) | {"undecorated", BASE}
    with tempfile.TemporaryDirectory() as directory:
        rows = {name: Row(name, Path(directory)) for name in ROWS if name in names}
        for row in rows.values():
            for mode in MODES:
                row.run(mode, given.turns // 4)
        for _ in range(given.rounds):
            for mode in MODES:
                for row in rows.values():
                    row.took[mode].append(row.run(mode, given.turns))
        for row in rows.values():
            row.close()
        for mode in MODES:
            table(rows, mode)
        burst(Path(directory) / "burst")


if __name__ == "__main__":
    main()
