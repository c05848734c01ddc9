"""How fast the terminal UI is: `python bench/tui.py [conversations]`, 20,000 where it is not said.

Measures, on a synthetic sealed store and in one run:

* first paint: from making the application to the first row on the screen, imports left out;
* a key: the median time from pressing it to the repainted screen;
* a conversation of 2,000 messages: from asking for it to the first line on the screen;
* memory: the process's peak, imports included.

The baseline is Textual's DataTable with the same rows and columns, already in memory, and at most 20,000 of them: it takes
about a second for each thousand.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

# This script is called what the package is called, and would stand in its way.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

SIZE = (120, 40)
KEYS = ("j", "j", "pagedown", "j", "pagedown", "k", "G", "k", "g", "pagedown") * 3
MESSAGES = 2_000
MOST_ROWS = 20_000
WORDS = "The order was shipped on Monday and should arrive within three working days. "


def build(path: Path, conversations: int) -> None:
    """Write a store of one-turn conversations, and one of `MESSAGES` messages; seal it."""
    import orjson

    from auditlog.record import encode_record
    from auditlog.store import Store

    with Store.create(path) as store:
        writer = store.writer()
        began = 1_795_000_000 * 10**9

        def turn(number: int, conversation: str, user: str, answer: str) -> None:
            span = f"{number:016x}"
            entry = {
                "type": "span",
                "time": began + number * 10**9,
                "end": began + number * 10**9 + 10**8,
                "trace": f"{number:032x}",
                "span": span,
                "turn": span,
                "conversation": conversation,
                "kind": "agent",
                "name": "support-bot",
                "status": "error" if number % 11 == 0 else "ok",
                "source": "import",
            }
            attributes = {"gen_ai.agent.name": "support-bot", "gen_ai.agent.version": f"v{number % 3}"}
            parts = {"attributes": attributes, "input": {"question": user}, "output": answer}
            writer.append(encode_record(entry, {name: orjson.dumps(part) for name, part in parts.items()}))

        for number in range(1, conversations):
            turn(number, f"case-{number:07}", f"Where is my order {number}?", WORDS)
        for message in range(MESSAGES // 2):
            turn(conversations + message, "long", f"{message}: {WORDS}", WORDS * 4)
        writer.close()
        store.seal()


async def painted(pilot: Any, wanted: str) -> None:
    """Wait until the screen shows a text."""
    for _ in range(20_000):
        strips = pilot.app.screen._compositor.render_strips()  # noqa: SLF001 - the screen as text
        if any(wanted in strip.text for strip in strips):
            return
        await pilot.pause(0.001)
    raise TimeoutError(wanted)


async def timed_keys(pilot: Any) -> float:
    """Give the median milliseconds of pressing a key until the screen is still again."""
    taken = []
    for key in KEYS:
        began = time.perf_counter()
        await pilot.press(key)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


async def ours(path: Path) -> dict[str, float]:
    """Measure the terminal UI."""
    from auditlog.store import Store
    from tui.app import AuditApp

    found = {}
    began = time.perf_counter()
    app = AuditApp(lambda: Store.open(path), str(path))
    async with app.run_test(size=SIZE) as pilot:
        await painted(pilot, "Where is my order")
        found["first paint ms"] = (time.perf_counter() - began) * 1000
        await pilot.pause(1)
        found["key ms"] = await timed_keys(pilot)
        await pilot.pause(1)
        began = time.perf_counter()
        app.open_conversation("long")
        await painted(pilot, "turn 1 ")
        found["2,000 messages ms"] = (time.perf_counter() - began) * 1000
        await pilot.pause(1)
        found["key in them ms"] = await timed_keys(pilot)
    return found


async def data_table(path: Path) -> dict[str, float]:
    """Measure Textual's DataTable with the same rows."""
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    from auditlog.store import Store

    with Store.open(path) as store:
        rows = [
            (
                s.start,
                s.status,
                s.turns,
                s.tool_calls,
                s.agent_name,
                s.agent_version,
                s.conversation_id,
                s.last_user_text,
            )
            for s in store.summaries(limit=MOST_ROWS)
        ]

    class Table(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="row")

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            table.add_columns(*"abcdefgh")
            table.add_rows(rows)

    found = {}
    began = time.perf_counter()
    async with Table().run_test(size=SIZE) as pilot:
        await painted(pilot, "Where is my order")
        found["first paint ms"] = (time.perf_counter() - began) * 1000
        found["key ms"] = await timed_keys(pilot)
    return found


MEASURED: dict[str, Callable[[Path], Awaitable[dict[str, float]]]] = {
    "auditlog tui": ours,
    "DataTable": data_table,
}
COLUMNS = ("first paint ms", "key ms", "2,000 messages ms", "key in them ms", "peak MB")


def main() -> None:
    """Build the store, measure each in a process of its own, print a table."""
    if len(sys.argv) == 4 and sys.argv[1] == "build":
        build(Path(sys.argv[3]), int(sys.argv[2]))
        return
    if len(sys.argv) == 4:
        # Imports are not measured.
        import textual.app

        import tui.app
        from auditlog.store import Store

        assert textual.app
        assert tui.app
        assert Store
        found = asyncio.run(MEASURED[sys.argv[2]](Path(sys.argv[3])))
        found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found))
        return
    conversations = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "audit")
        # In a process of its own: a child is charged with the memory that its parent had.
        subprocess.run([sys.executable, __file__, "build", str(conversations), str(path)], check=True)
        print(f"{conversations:,} conversations, a window of {SIZE[0]} x {SIZE[1]}\n")
        print(f"{'':14}" + "".join(f"{name:>20}" for name in COLUMNS))
        for name in MEASURED:
            done = subprocess.run(
                [sys.executable, __file__, "measure", name, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name:14}" + "".join(f"{found[c]:>20,.0f}" if c in found else f"{'':>20}" for c in COLUMNS)
            )


if __name__ == "__main__":
    main()
