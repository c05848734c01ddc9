"""What the tests of the terminal UI share: fixed traffic in a real store, an app on it, and the text of its screen."""

import datetime as dt
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pyte
import pytest

from auditlog.record import encode_record
from auditlog.store import Store
from tui import reading
from tui.app import AuditApp

BEGAN = int(dt.datetime(2026, 11, 20, 8, 0, tzinfo=dt.UTC).timestamp()) * 10**9
MS = 10**6


class Traffic:
    """Writes conversations with fixed ids and times, as an import does."""

    def __init__(self, store):
        self.writer = store.writer()
        self.now = BEGAN
        self.count = 0

    def span(
        self, *, kind, name, turn, conversation, parent=None, took=2, status="ok", attributes=None, **parts
    ):
        """Write one call; times go on by `took` milliseconds."""
        self.count += 1
        span_id = f"{self.count:016x}"
        entry = {
            "type": "span",
            "time": self.now,
            "end": self.now + took * MS,
            "trace": f"{int(turn or span_id, 16):032x}",
            "span": span_id,
            "turn": turn or span_id,
            "conversation": conversation,
            "kind": kind,
            "name": name,
            "status": status,
            "source": "decorator",
        }
        if parent:
            entry["parent"] = parent
        encoded = {
            key: orjson.dumps(value) for key, value in {"attributes": attributes or {}, **parts}.items()
        }
        self.writer.append(encode_record(entry, encoded))
        self.now += took * MS
        return span_id

    def turn(
        self, conversation, user, answer, *, tools=(), documents=(), status="ok", version="v1", escalated=None
    ):
        """Write a turn: the agent, a retrieval, a model call and the tools' calls."""
        began = self.now
        facts = {"gen_ai.agent.name": "support-bot", "gen_ai.agent.version": version, "user.id": "u-17"}
        self.count += 1
        turn = f"{self.count:016x}"
        shared = {"turn": turn, "conversation": conversation, "parent": turn}
        self.now += MS
        if documents:
            found = [
                {"id": name, "content": text, "score": score, "source": "help"}
                for name, text, score in documents
            ]
            self.span(
                kind="retriever", name="help", input={"query": user}, documents=found, output=found, **shared
            )
        self.span(
            kind="model",
            name="chat",
            took=40,
            attributes={
                "gen_ai.request.model": "small-1",
                "gen_ai.response.model": "small-1-0714",
                "gen_ai.provider.name": "test",
                "gen_ai.usage.input_tokens": 512,
                "gen_ai.usage.output_tokens": 88,
                "auditlog.cost_usd": 0.0021,
            },
            system_instructions="Be kind and brief.",
            input_messages=[{"role": "user", "parts": [{"type": "text", "content": user}]}],
            output_messages=[{"role": "assistant", "parts": [{"type": "text", "content": answer}]}],
            **shared,
        )
        for name, effect, arguments, result, ended in tools:
            outcome = (
                {"output": result} if ended == "ok" else {"error": {"type": "RefundError", "message": result}}
            )
            self.span(
                kind="tool",
                name=name,
                status=ended,
                attributes={"auditlog.tool.effect": effect},
                input=arguments,
                **outcome,
                **shared,
            )
        if escalated:
            facts |= {"auditlog.escalation.reason": escalated, "auditlog.escalation.to": "front desk"}
        parts = {"input": orjson.dumps({"question": user}), "attributes": orjson.dumps(facts)}
        if status == "ok":
            parts["output"] = orjson.dumps(answer)
        else:
            parts["error"] = orjson.dumps({"type": "TimeoutError", "message": answer})
        self.writer.append(
            encode_record(
                {
                    "type": "span",
                    "time": began,
                    "end": self.now,
                    "trace": f"{int(turn, 16):032x}",
                    "span": turn,
                    "turn": turn,
                    "conversation": conversation,
                    "kind": "agent",
                    "name": "support-bot",
                    "status": status,
                    "source": "decorator",
                },
                parts,
            )
        )
        self.now += 60_000 * MS
        return turn


DOCUMENTS = (
    ("refund-limit", "Refunds above 100 EUR need an approval by a person.", 0.83),
    ("returns", "Goods can be returned within 30 days.", 0.41),
)


def write_fixed(store):
    """Write four conversations: a refund, an escalation, an error, and one that is ordinary."""
    traffic = Traffic(store)
    traffic.turn(
        "case-8810", "Hello, do you ship to Norway?", "Yes, within five days.", documents=DOCUMENTS[1:]
    )
    traffic.turn(
        "case-8811",
        "I was charged twice and want my money back",
        "I have refunded 400 EUR to your card.",
        documents=DOCUMENTS,
        tools=(
            ("look_up_order", "read", {"order_id": "A-7"}, {"order_id": "A-7", "total": 400}, "ok"),
            ("issue_refund", "write", {"order_id": "A-7", "amount": 400}, {"ok": True, "refund": 400}, "ok"),
        ),
    )
    traffic.turn("case-8811", "Thank you!", "You are welcome.")
    traffic.turn(
        "case-8812",
        "This is the third time. I want a person.",
        "A person will call you.",
        escalated="angry customer",
    )
    traffic.turn(
        "case-8813",
        "Where is my parcel?",
        "the model did not answer in 30 s",
        status="error",
        version="v2",
        tools=(("look_up_order", "read", {"order_id": "A-9"}, "order A-9 is unknown", "error"),),
    )
    traffic.writer.close()


@pytest.fixture(scope="session")
def fixed_store(tmp_path_factory):
    """Give the path of a store with fixed traffic; nobody writes to it."""
    path = tmp_path_factory.mktemp("fixed") / "audit"
    with Store.create(path) as store:
        write_fixed(store)
    return path


# One conversation for each way in which version 2 of the sample agent differs, and one that it answers the same.
SAMPLE = {
    "blocked": "case-1039",
    "missing": "case-1009",
    "extra": "case-1035",
    "arguments": "case-1017",
    "cosmetic": "case-1002",
    "identical": "case-1001",
}


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory, repository):
    """Give a store of the sample agent's traffic with a run that replayed six conversations against version 2."""
    import replay
    from auditlog.importers import import_into

    path = tmp_path_factory.mktemp("sample") / "audit"
    with Store.create(path) as store:
        import_into(store, repository / "sample_traces" / "support_bot.v1.otlp.jsonl.gz")
        store.seal()
        planned = replay.plan(
            store,
            "examples.support_bot:v2",
            baseline="examples.support_bot:v1",
            where=f"conversation:{','.join(SAMPLE.values())}",
            path=repository,
            workers=1,
            sample=0.5,
        )
        assert replay.run(store, planned).status == "complete"
    return path


@pytest.fixture(scope="session")
def sample_cases():
    """Give a conversation of the sample run for each class."""
    return SAMPLE


@pytest.fixture(scope="session")
def traffic_for():
    """Give a function that makes a writer of fixed traffic."""
    return Traffic


@pytest.fixture
def app_on():
    """Give a function that makes the application on a store's path."""

    def make(path, **options):
        return AuditApp(lambda: Store.open(path), options.pop("shown_path", "./audit"), **options)

    return make


@pytest.fixture
def fixed_standing(monkeypatch):
    """Let every title say the same of the ledger, whoever has looked at the store before."""
    real = reading.standing
    nine_fourteen = int(dt.datetime(2026, 11, 23, 9, 14, tzinfo=dt.UTC).timestamp()) * 10**9

    def standing(store):
        return replace(real(store), entries=412, signed=412, signed_ns=nine_fourteen)

    monkeypatch.setattr(reading, "standing", standing)


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    """Run in a directory of the test's own, where keys write files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def screen_text(app):
    """Give what the screen shows, as lines without trailing spaces."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def settled(pilot, wanted=None, tries=1500):
    """Wait until the screen shows a text, or for one round of messages."""
    if wanted is None:
        await pilot.pause()
        return screen_text(pilot.app)
    for _ in range(tries):
        await pilot.pause(0.02)
        if wanted in (text := screen_text(pilot.app)):
            return text
    raise AssertionError(f"{wanted!r} never came up:\n{screen_text(pilot.app)}")


@pytest.fixture
def until():
    """Give the function that waits for a text on the screen."""
    return settled


@pytest.fixture
def text_of_screen():
    """Give the function that reads the screen."""
    return screen_text


@pytest.fixture(scope="session")
def repository():
    """Give the repository's root."""
    return Path(__file__).resolve().parents[2]


class Terminal:
    """A real pseudo-terminal with `auditlog` in it, and what an emulator makes of its output."""

    PATIENCE = 60
    """Seconds until a text must have come up; only a hang takes as long."""

    def __init__(self, *arguments, columns=80, lines=24, cwd=None, environ=()):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = pty.openpty()
        self._set_size(columns, lines)
        # What a test runner says of its own window is not this one's.
        left_out = ("NO_COLOR", "TMUX", "AUDITLOG_STORE", "COLUMNS", "LINES")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from auditlog.cli.main import main; raise SystemExit(main())",
                *arguments,
            ],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={
                "AUDITLOG_SEAL": "off",
                **kept,
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "LANG": "C.UTF-8",
                **dict(environ),
            },
            start_new_session=True,
        )
        os.close(slave)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        """Make the window another size, as a user does."""
        self.screen.resize(lines, columns)
        self._set_size(columns, lines)
        os.kill(self.process.pid, 28)  # SIGWINCH

    def read(self, seconds=0.05):
        """Take what the program wrote; say whether there was something."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def type(self, *keys):
        """Type keys; several are typed one after the other."""
        for key in keys:
            os.write(self.master, key.encode())
            self.read(0.02)

    @property
    def text(self):
        """The screen as lines without trailing spaces."""
        # Cell by cell: pyte's own `display` fails where half of a wide character is drawn over, as between two reads.
        rows = (self.screen.buffer[y] for y in range(self.screen.lines))
        lines = ("".join(row[x].data for x in range(self.screen.columns)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def until(self, wanted, *, gone=False):
        """Read on until the screen shows a text, or until it is gone."""
        deadline = time.monotonic() + self.PATIENCE
        while time.monotonic() < deadline:
            if (wanted in self.text) != gone:
                return self.text
            if not self.read(0.2) and self.process.poll() is not None:
                break
        raise AssertionError(f"{wanted!r} {'stayed' if gone else 'never came up'}:\n{self.text}")

    def finish(self):
        """Read until the program ends; give its exit code."""
        deadline = time.monotonic() + self.PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        while self.read(0):
            pass
        return self.process.returncode

    def close(self):
        """End the program."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal():
    """Give a function that runs `auditlog` in a pseudo-terminal."""
    opened = []

    def run(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield run
    for one in opened:
        one.close()
