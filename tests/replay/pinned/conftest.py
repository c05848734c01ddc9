"""Recorded turns of the agents that ask, and a model server on the loopback that never answers the same."""

from __future__ import annotations

import asyncio
import http.server
import inspect
import itertools
import json
import threading
from pathlib import Path

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.results.trials import case_trials

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture(scope="module")
def agents(import_file):
    """The module of the agents, as the workers import it."""
    return import_file(AGENTS / "pinned_agents.py")


@pytest.fixture
def store_of(tmp_path):
    """Record an agent's turns into a store, and open it."""
    opened = []

    def record(agent, *questions, redactor=None, **extra):
        store = Store.create(tmp_path / "audit")
        previous = config._state.recorder
        config.use(Recorder(store.writer(), agent_version="v1", redactor=redactor))
        for number, question in enumerate(questions or ("hi",)):
            with auditlog.conversation(f"c{number}"):
                found = agent(question, **extra)
                asyncio.run(found) if inspect.isawaitable(found) else None
        config.use(previous)
        store.close()
        opened.append(Store.open(tmp_path / "audit"))
        return opened[-1]

    yield record
    for store in opened:
        store.close()


@pytest.fixture
def trials():
    """Run a candidate; give its cases' executions."""

    def run(store, candidate, **options):
        plan = replay.plan(store, f"pinned_agents:{candidate}", path=AGENTS, workers=1, **options)
        replay.run(store, plan)
        return list(case_trials(store, plan.manifest()))

    return run


class Model(http.server.BaseHTTPRequestHandler):
    """Answers chat completions with a number that it never said before, and counts what reached it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Answer."""
        server = self.server
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.asked.append((self.path, asked, dict(self.headers)))
        said = f"answer {next(server.numbers)}"
        if asked.get("stream"):
            pieces = [{"content": piece} for piece in said.split()]
            body = (
                "".join(f"data: {json.dumps(self.chunk(asked, piece))}\n\n" for piece in pieces)
                + "data: [DONE]\n\n"
            )
            self.answer(body.encode(), "text/event-stream")
            return
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        told = {"id": said, "object": "chat.completion", "created": 1, "model": f"{asked['model']}-0611"}
        told |= {"choices": [choice], "usage": usage, "system_fingerprint": server.fingerprint}
        self.answer(json.dumps(told).encode(), "application/json")

    def chunk(self, asked, delta):
        """Make a piece of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": f"{asked['model']}-0611"}
        return {**told, "choices": [choice]}

    def answer(self, body, kind):
        """Send it."""
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def model_server():
    """A model's server: `.url`, `.host`, `.asked`, `.fingerprint`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.asked, server.numbers, server.fingerprint = [], itertools.count(1), "fp_1"
    server.host = f"127.0.0.1:{server.server_port}"
    server.url = f"http://{server.host}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
