"""What many workers get out of a model that is slow, and whether they keep to a rate together.

    python bench/slow_model.py [WORKERS] [CASES]

A server on this machine answers each request after a second, as many at once as are asked, and notes when each came. A bare loop
(`asyncio.gather` with a semaphore, as wide as there are workers) asks it; a replay asks it, one call a case, behind all locks,
with every result written. Printed is how many requests a second the server saw in its best ten seconds, since starting a worker
takes a second of a core, and the share of what so many workers could ask at most. Then the same replay is run with `--rate`:
printed is how many requests any ten seconds had at most, beside what the rate allows (its part of them, and one second's worth).
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.running.limits import NO_LIMITS, Limits

WORKERS = 64
CASES = 4_000
SECONDS = 1.0
"""How long the model takes."""
WINDOW = 10.0
RATE = 1_200
"""Requests a minute of the second replay."""
RATED_CASES = 800

AGENT = """
import os, urllib.request
import auditlog

@auditlog.model("slow")
def ask(messages):
    auditlog.annotate(input_tokens=10, output_tokens=10)
    if "SLOW_MODEL" not in os.environ:
        return "sent"
    with urllib.request.urlopen(os.environ["SLOW_MODEL"], data=b"{}", timeout=60) as answer:
        return answer.read().decode()

@auditlog.agent("patient", version="1")
def answer(question):
    return ask([{"role": "user", "content": question}])
"""


class _Model(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[float] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Model)
        self.server.came.append(time.monotonic())
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"sent")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Record, loop, replay, print."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else WORKERS
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else CASES
    model = _Model()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "patient_agent.py").write_text(AGENT, encoding="utf-8")
        sys.path.insert(0, scratch)
        from patient_agent import answer  # pyrefly: ignore

        with Store.create(Path(scratch, "audit")) as store:
            config.use(Recorder(store.writer()))
            for number in range(cases):
                with auditlog.conversation(f"c{number}"):
                    answer(f"A{number}")
            auditlog.shutdown()
            store.refresh()
            os.environ["SLOW_MODEL"] = f"http://{model.host}/v1"
            print(
                f"{workers} workers, {os.cpu_count()} cores, a model that takes {SECONDS:g} s: at most {workers / SECONDS:g}/s"
            )
            config.use(None)
            asyncio.run(_loop(answer, workers, 2 * workers * round(WINDOW / SECONDS)))
            _print("bare loop", model, workers)
            began = time.monotonic(), _cpu()
            _replayed(store, scratch, model, workers, cases)
            took = time.monotonic() - began[0], _cpu() - began[1]
            _print("replay", model, workers)
            print(
                f"{'  in all':24}{took[0]:>8.1f} s{took[1] / cases * 1e3:>10.1f} ms CPU a case, starting included"
            )
            _replayed(
                store, scratch, model, workers, min(cases, RATED_CASES), Limits(requests_per_minute=RATE)
            )
            allowed = RATE / 60 * (WINDOW + 1)
            print(
                f"{f'replay, --rate {RATE}rpm':24}{_most(model.came):>8} in the fullest {WINDOW:g} s; {allowed:g} allowed"
            )


def _replayed(
    store: Store, scratch: str, model: _Model, workers: int, cases: int, limits: Limits = NO_LIMITS
) -> None:
    model.came.clear()
    plan = replay.plan(
        store,
        "patient_agent:answer",
        path=scratch,
        workers=workers,
        limit=cases,
        hosts=(model.host,),
        env=("SLOW_MODEL",),
        limits=limits,
        fresh=True,
    )
    summary = replay.run(store, plan)
    found = dict(summary.classes)
    assert (summary.status, found) == ("complete", {"identical": cases}), (summary.status, found)
    assert len(model.came) == cases


async def _loop(answer: object, workers: int, cases: int) -> None:
    room = asyncio.Semaphore(workers)
    loop = asyncio.get_running_loop()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as threads:

        async def one(number: int) -> None:
            async with room:
                await loop.run_in_executor(threads, answer, f"A{number}")  # type: ignore[arg-type]

        await asyncio.gather(*(one(number) for number in range(cases)))


def _print(name: str, model: _Model, workers: int) -> None:
    rate = _most(model.came) / WINDOW
    print(f"{name:24}{rate:>8.1f}/s{rate * SECONDS / workers:>10.0%} of what is possible")


def _most(came: Sequence[float]) -> int:
    """Give how many came in the fullest window."""
    times = sorted(came)
    return max((bisect_left(times, at + WINDOW) - first for first, at in enumerate(times)), default=0)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    main()
