"""What tests of every package share: a store's path, recorded turns, and the shared data sets."""

import contextlib
import http.server
import importlib.util
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import hypothesis
import orjson
import pytest
from click.testing import CliRunner

import auditlog
from auditlog import http_calls
from auditlog.background import VARIABLE
from auditlog.record import encode_record
from auditlog.store import Store

# How long an example takes is the machine's matter, and no test's.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# What a test leaves in a journal stays there until the test seals it.
os.environ[VARIABLE] = "off"

# A shell starts what it runs in the background deaf to Ctrl-C, and so would be every process that a test starts and
# then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def import_file():
    """Give a function that imports a file as a module, which has the file's name where no other is given."""

    def imported(path, name=None):
        name = name or path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported


@pytest.fixture
def serve_recorded():
    """Give a function that serves a handler's answers on the loopback while HTTP is recorded, and gives the address."""
    with contextlib.ExitStack() as stack:

        def serve(handler):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            auditlog.record_http()
            stack.callback(http_calls.forget_http)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


@pytest.fixture
def plain_surroundings(monkeypatch, tmp_path):
    """Keep the tester's own store, name, colours, width, hours and directory out of it."""
    for name in ("AUDITLOG_STORE", "AUDITLOG_TRACEBACK", "AUDITLOG_USER", "NO_COLOR", "MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """Give a function that runs the command in this process and gives click's result."""
    from auditlog.cli.main import main

    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)

    return invoke


@pytest.fixture
def store_path(tmp_path):
    """Give a path where no store is yet."""
    return tmp_path / "audit"


@pytest.fixture
def store(store_path):
    """Give an empty store, open."""
    with Store.create(store_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_data():
    """Give the directory of the shared data sets, or skip: AUDITLOG_SHARED_DATA, or `shared/data` beside the repository."""
    named = os.environ.get("AUDITLOG_SHARED_DATA")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no shared data sets at {path}: set AUDITLOG_SHARED_DATA to their directory")
    return path


_numbers = itertools.count(1)


class Script:
    """Writes records as a recorder would, with ids and times that count up."""

    def __init__(self, writer, began_ns=None):
        self.writer = writer
        self.now = began_ns or time.time_ns()
        self.trace = None
        """The trace of the last turn written."""

    def new_id(self, digits=16):
        """Give an id of so many hex digits that no other script has given."""
        return f"{next(_numbers):0{digits}x}"

    def start(self, *, trace, span, at=None, attributes=None, parts=None, **entry):
        """Write a START record."""
        fields = {
            "type": "start",
            "time": at or self._tick(),
            "trace": trace,
            "span": span,
            "source": "decorator",
            **entry,
        }
        return self.writer.append(encode_record(_known(fields), _encoded(attributes, parts)), opens=span)

    def end(self, *, trace, span, status="ok", at=None, attributes=None, parts=None):
        """Write an END record."""
        fields = {"type": "end", "time": at or self._tick(), "trace": trace, "span": span, "status": status}
        return self.writer.append(encode_record(fields, _encoded(attributes, parts)), closes=span)

    def span(self, *, trace, span, status="ok", attributes=None, parts=None, **entry):
        """Write a SPAN record, as an import does."""
        began = self._tick()
        fields = {
            "type": "span",
            "time": began,
            "end": self._tick(),
            "trace": trace,
            "span": span,
            "status": status,
        }
        fields |= {"source": "import", **entry}
        return self.writer.append(encode_record(_known(fields), _encoded(attributes, parts)))

    def turn(
        self,
        conversation="case-1",
        *,
        user="Where is my order?",
        answer="On its way.",
        tools=(("look_up_order", {"order_id": "A-1"}, {"state": "sent"}, "ok"),),
        status="ok",
        ended=True,
        agent="support-bot",
        version="v1",
        user_id="u-1",
        model="gpt-test",
        tokens=(10, 5),
        cost=None,
        attributes=None,
        evaluations=None,
    ):
        """Write a whole turn: the agent, one model call, its tool calls; give the turn's id."""
        trace, turn = self.new_id(32), self.new_id()
        self.trace = trace
        shared = {"trace": trace, "turn": turn, "conversation": conversation}
        more = attributes or {}
        self.start(
            **shared,
            span=turn,
            kind="agent",
            name=agent,
            attributes={
                "gen_ai.agent.name": agent,
                "gen_ai.agent.version": version,
                "user.id": user_id,
                **more,
            },
            parts={"input": {"question": user}},
        )
        call = self.new_id()
        self.start(
            **shared,
            span=call,
            parent=turn,
            kind="model",
            name="chat",
            attributes={"gen_ai.request.model": model, "gen_ai.provider.name": "test", **more},
            parts={
                "input_messages": [{"role": "user", "parts": [{"type": "text", "content": user}]}],
                "system_instructions": "Be kind.",
            },
        )
        usage = {"gen_ai.usage.input_tokens": tokens[0], "gen_ai.usage.output_tokens": tokens[1]}
        if cost is not None:
            usage["auditlog.cost_usd"] = cost
        said = [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]
        self.end(trace=trace, span=call, attributes=usage, parts={"output_messages": said})
        for name, arguments, result, ended_as in tools:
            call = self.new_id()
            self.start(
                **shared,
                span=call,
                parent=turn,
                kind="tool",
                name=name,
                attributes={"auditlog.tool.effect": "read", **more},
                parts={"input": arguments},
            )
            outcome = (
                {"output": result}
                if ended_as == "ok"
                else {"error": {"type": "ValueError", "message": str(result)}}
            )
            self.end(trace=trace, span=call, status=ended_as, parts=outcome)
        if ended:
            parts = {"output": answer} | ({"evaluations": evaluations} if evaluations else {})
            self.end(trace=trace, span=turn, status=status, parts=parts)
        return turn

    def _tick(self):
        self.now += 1_000_000
        return self.now


def _known(fields):
    return {name: value for name, value in fields.items() if value is not None}


def _encoded(attributes, parts):
    given = {**({"attributes": attributes} if attributes else {}), **(parts or {})}
    return {name: value if isinstance(value, bytes) else orjson.dumps(value) for name, value in given.items()}


@pytest.fixture
def script(store):
    """Write records into `store`; `store.refresh()` shows them."""
    writer = store.writer()
    yield Script(writer)
    writer.close()


@pytest.fixture(scope="session")
def script_for():
    """Give a function that makes a Script of a writer."""
    return Script
