"""Undecorated HTTP of a turn: recorded for who opts in, over real sockets, and served in a replay without one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import http.server
import json
import subprocess
import sys
import threading
from typing import ClassVar

import httpx
import httpx2
import pytest
import requests
import urllib3

import auditlog
from auditlog import http_calls, interception
from auditlog.http_content import response_of
from auditlog.interception import Raised, Served

SECRET = "s3cr3t-0123456789"


class Shop(http.server.BaseHTTPRequestHandler):
    """Answers orders, and counts what reached it."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list] = []

    def _answer(self):
        size = int(self.headers.get("content-length") or 0)
        self.seen.append((self.command, self.path, self.rfile.read(size)))
        zipped = "zipped" in self.path
        told = {"path": self.path, "n": 1.0}
        body = b"\x00\x01\xff" if "bytes" in self.path else json.dumps(told).encode()
        body = gzip.compress(body) if zipped else body
        self.send_response(404 if "missing" in self.path else 200)
        kind = "application/octet-stream" if "bytes" in self.path else "application/json"
        for name, value in {
            "content-type": kind,
            "content-length": str(len(body)),
            "set-cookie": f"session={SECRET}",
            "x-auth-token": SECRET,
            "link": "</orders?page=2>; rel=next",
            **({"content-encoding": "gzip"} if zipped else {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - as the library calls them

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def shop():
    """A shop on the loopback: its address, and what reached it."""
    Shop.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def http_on():
    """Record HTTP for the length of a test."""
    auditlog.record_http()
    yield
    http_calls.forget_http()
    http_calls.route(None)


def in_a_turn(function):
    """Run a function as an agent's body."""
    return auditlog.agent("bot")(function)()


def by_httpx(url, method="GET", **asked):
    with httpx.Client() as client:
        answer = client.request(method, url, **asked)
        return answer.status_code, answer.content


def by_httpx2(url, method="GET", **asked):
    with httpx2.Client() as client:
        answer = client.request(method, url, **asked)
        return answer.status_code, answer.content


def by_async_httpx(url, method="GET", **asked):
    async def ask():
        async with httpx.AsyncClient() as client:
            answer = await client.request(method, url, **asked)
            return answer.status_code, answer.content

    return asyncio.run(ask())


def by_requests(url, method="GET", **asked):
    with requests.Session() as session:
        answer = session.request(method, url, **asked)
        return answer.status_code, answer.content


def by_urllib3(url, method="GET", **asked):
    with urllib3.PoolManager() as pool:
        answer = pool.request(method, url, **asked)
        return answer.status, answer.data


CLIENTS = [by_httpx, by_httpx2, by_async_httpx, by_requests, by_urllib3]


@pytest.mark.parametrize("client", CLIENTS)
def test_undecorated_http_of_a_turn_is_a_tool_call(client, shop, recording, http_on):
    """A request is a span of kind tool, named by method, host and path, with its effect, its body and its answer."""
    before = client(f"{shop}/orders/8812?full=1")
    assert before == in_a_turn(lambda: client(f"{shop}/orders/8812?full=1"))
    row = recording.rows[-1]
    host = shop.removeprefix("http://")
    assert ("tool", f"http GET {host}/orders/{{id}}", "read", "ok") == (
        row["kind"],
        row["name"],
        row["effect"],
        row["status"],
    )
    assert {"method": "GET", "url": f"{shop}/orders/8812?full=1"} == json.loads(row["input"])
    told = json.loads(row["output"])
    assert (200, {"json": {"path": "/orders/8812?full=1", "n": 1.0}}) == (told["status"], told["body"])
    assert ["link", "</orders?page=2>; rel=next"] in told["headers"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("path", ["/zipped", "/bytes", "/missing"])
def test_a_reader_reads_what_it_would_have_read(client, path, shop, recording, http_on):
    """Compressed, binary or an error: recording changes nothing of an answer, and holds all of it."""
    before = client(shop + path)
    assert before == in_a_turn(lambda: client(shop + path))
    status, _, content = response_of(json.loads(recording.rows[-1]["output"]))
    assert status == before[0]
    if path != "/bytes":
        assert json.loads(content) == json.loads(before[1])
    else:
        assert content == before[1]
    assert not recording.rows[-1]["lossy"]


@pytest.mark.parametrize("client", [by_httpx, by_async_httpx, by_requests])
def test_no_credential_is_recorded(client, shop, recording, http_on):
    """Headers that hold keys, cookies, and what a query or a body calls a secret are nowhere in the records."""
    in_a_turn(
        lambda: client(
            f"{shop}/orders?api_key={SECRET}&q=1",
            "POST",
            headers={"Authorization": f"Bearer {SECRET}", "Cookie": SECRET, "X-Api-Key": SECRET},
            json={"password": SECRET, "deep": [{"client_secret": SECRET}], "order": 1},
        )
    )
    in_a_turn(lambda: client(f"{shop}/token", "POST", data={"client_secret": SECRET, "grant": "x"}))
    # The server says back the path with its query, which is not called a secret there.
    recorded = b"".join(recording.sink.payloads).replace(f'"path":"/orders?api_key={SECRET}'.encode(), b"")
    assert SECRET.encode() not in recorded
    assert {"json": {"password": "***", "deep": [{"client_secret": "***"}], "order": 1}} == json.loads(
        next(row for row in recording.rows if "orders" in row["name"])["input"]
    )["body"]


def test_what_writes_is_a_write(shop, recording, http_on):
    """GET and HEAD read; every other method writes."""

    def body():
        for method in ("GET", "HEAD", "POST", "DELETE"):
            by_httpx(f"{shop}/orders", method)

    in_a_turn(body)
    effects = [row["effect"] for row in recording.rows if row["kind"] == "tool"]
    assert ["read", "read", "write", "write"] == effects


def test_http_inside_a_recorded_tool_or_model_or_outside_of_a_turn_is_not_recorded(shop, recording, http_on):
    """What a decorated function does to get its result is part of that, and what stands in no turn belongs to none."""
    tool = auditlog.tool(effect="read")(lambda: by_httpx(f"{shop}/a")[0])
    model = auditlog.model(lambda: str(by_httpx(f"{shop}/b")[0]))
    in_a_turn(lambda: (tool(), model(), None)[-1])
    by_httpx(f"{shop}/c")
    assert not [row for row in recording.rows if row["name"].startswith("http ")]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions"])
def test_requests_that_are_neither_a_tools_nor_a_recorded_models_are_left_alone(
    path, shop, recording, http_on
):
    """Embeddings and old completions are no tool calls, and are not recorded as such."""
    in_a_turn(lambda: by_httpx(f"{shop}{path}", "POST", json={"model": "m"})[0])
    assert 1 == len(recording.rows)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/tasks/7/completions", "/conversations/7/messages"])
def test_a_body_that_names_no_model_is_a_tools_wherever_it_is_sent(path, shop, recording, http_on):
    """Somebody else's path that ends as a model's is recorded as the write that it is."""
    in_a_turn(lambda: by_httpx(f"{shop}{path}", "POST", json={"task": 7})[0])
    assert ("tool", "write") == (recording.rows[-1]["kind"], recording.rows[-1]["effect"])


def test_who_does_not_opt_in_records_nothing(shop, recording):
    """Without `record_http` a turn's HTTP is as it was."""
    http_calls.forget_http()
    in_a_turn(lambda: by_httpx(f"{shop}/a")[0])
    assert 1 == len(recording.rows)


def test_an_error_of_the_connection_is_the_calls_error(recording, http_on):
    """A server that is not there raises what it raises, and the span says so."""

    def body():
        with pytest.raises(httpx.ConnectError):
            by_httpx("http://127.0.0.1:1/x")

    in_a_turn(body)
    assert ("error", "httpx.ConnectError") == (recording.rows[-1]["status"], recording.rows[-1]["error_type"])


def test_a_stream_is_handed_on_as_it_comes_and_recorded_when_it_is_left(shop, recording, http_on):
    """Who stops half-way has a lossy record of what came; who reads all has all."""

    def body(whole):
        def read():
            with httpx.Client() as client, client.stream("GET", f"{shop}/a") as answer:
                return b"".join(answer.iter_bytes(4)) if whole else next(answer.iter_bytes(4))

        return read

    assert b'{"pa' == in_a_turn(body(whole=False))
    assert b'{"path": "/a", "n": 1.0}' == in_a_turn(body(whole=True))
    rows = [row for row in recording.rows if row["kind"] == "tool"]
    # The whole body had come in one piece before its reader stopped.
    assert [{"json": {"path": "/a", "n": 1.0}}] * 2 == [json.loads(row["output"])["body"] for row in rows]
    assert not rows[1]["lossy"]


class Replaying:
    """Answers every call but agents' from what it is given."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def before(self, call):
        """Answer a call."""
        if call.operation.kind == "agent":
            return None
        self.asked.append((call.operation.name, dict(call.arguments), call.parent_span_id))
        return self.answer(call)


@pytest.fixture
def replaying():
    """Intercept this process's calls."""

    def install(answer):
        found = Replaying(answer)
        interception.install(found)
        return found

    yield install
    interception.uninstall()


TOLD = {"status": 201, "headers": [["content-type", "application/json"]], "body": {"json": {"a": [1, "ü"]}}}


@pytest.mark.parametrize("client", CLIENTS)
def test_in_a_replay_the_recorded_answer_is_given_and_nothing_is_sent(
    client, shop, recording, http_on, replaying
):
    """The answer is the recorded one, and the server sees no request."""
    found = replaying(lambda call: Served(TOLD))
    status, content = in_a_turn(lambda: client(f"{shop}/orders/1", "POST", **BODY[client]))
    assert (201, {"a": [1, "ü"]}) == (status, json.loads(content))
    assert [] == Shop.seen
    host = shop.removeprefix("http://")
    assert [f"http POST {host}/orders/{{id}}"] == [name for name, _, _ in found.asked]
    assert {"json": {"b": 2}} == found.asked[0][1]["body"]


BODY = {client: {"json": {"b": 2}} for client in CLIENTS}


class Stop(BaseException):
    """What a replay ends a case with."""


@pytest.mark.parametrize("client", CLIENTS)
def test_a_miss_ends_what_asked_and_nothing_is_sent(client, shop, recording, http_on, replaying):
    """What the interceptor raises in the place of an answer goes through the client as it is."""
    replaying(lambda call: Raised(Stop()))
    with pytest.raises(Stop):
        in_a_turn(lambda: client(f"{shop}/orders/1", "POST"))
    assert [] == Shop.seen


def test_branches_keep_their_places_and_a_thread_without_context_has_none(
    shop, recording, http_on, replaying
):
    """`gather` and `to_thread` ask as part of the turn; `run_in_executor` lost the context, and is asked about outside of it."""
    found = replaying(lambda call: Served(TOLD))

    async def body():
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(f"{shop}/g/{n}") for n in "ab"))
        await asyncio.to_thread(by_httpx, f"{shop}/t")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            await asyncio.get_running_loop().run_in_executor(pool, by_httpx, f"{shop}/e")

    asyncio.run(auditlog.agent("bot")(body)())
    agent = recording.named("bot")["span_id"]
    assert [agent, agent, agent, None] == [parent for _, _, parent in found.asked]
    assert [] == Shop.seen


@pytest.mark.parametrize(
    ("path", "asked", "allowed", "kind"),
    [
        ("/v1/chat/completions", {"model": "m"}, True, "model"),
        ("/v1/messages", {"model": "m"}, True, "model"),
        ("/v1/messages", {"model": "m"}, False, "tool"),
        ("/conversations/7/messages", {"body": "Dear customer"}, True, "tool"),
        ("/v1/refund", {"model": "m"}, True, "tool"),
        ("/v1/embeddings", {"model": "m"}, False, "tool"),
        ("/v1/embeddings", {"model": "m"}, True, None),
        ("/tasks/7/completions", {"done": True}, True, "tool"),
    ],
)
def test_in_a_replay_only_a_request_for_a_model_at_an_allowed_host_is_one(
    path, asked, allowed, kind, shop, recording, http_on, replaying
):
    """Whatever else is sent, to an allowed host as to any other, is a tool's: a helpdesk's messages are none of a model."""
    port = int(shop.rpartition(":")[2])
    http_calls.route(lambda host, at: allowed and (host, at) == ("127.0.0.1", port))
    kinds = []

    def answer(call):
        kinds.append(call.operation.kind)
        return Raised(Stop())

    replaying(answer)

    def body():
        if kind is None:
            return by_httpx(f"{shop}{path}", "POST", json=asked)[0]
        with pytest.raises(Stop):
            by_httpx(f"{shop}{path}", "POST", json=asked)
        return None

    in_a_turn(body)
    assert ([] if kind is None else [kind]) == kinds


def test_what_is_loaded_later_is_met_too():
    """Opting in loads no library; one that a case imports is recorded from its first request on."""
    code = (
        "import sys, auditlog\n"
        "auditlog.record_http()\n"
        "assert not {'httpx', 'urllib3', 'httpx2'} & set(sys.modules), 'loaded'\n"
        "import urllib3, httpx, requests\n"
        "assert hasattr(urllib3.HTTPConnectionPool.urlopen, '__auditlog__'), 'urllib3'\n"
        "assert hasattr(httpx.HTTPTransport.handle_request, '__auditlog__'), 'httpx'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


class Slow(http.server.BaseHTTPRequestHandler):
    """Says a line, and the next only when it may."""

    protocol_version = "HTTP/1.1"
    chunked = True

    def do_GET(self):
        """Say them."""
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        if self.chunked:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", "8")
        self.end_headers()
        for line in (b"one\n", b"two\n"):
            self.wfile.write(b"4\r\n" + line + b"\r\n" if self.chunked else line)
            self.wfile.flush()
            if line == b"one\n":
                assert self.server.may_go_on.wait(20)
        if self.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def slow():
    """A server that waits half-way through its answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.may_go_on = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.may_go_on.set()
    Slow.chunked = True
    server.shutdown()
    thread.join()
    server.server_close()


def pieces_of(client, url, seen):
    """Read an answer piece by piece, and say when the first is there."""
    found = b""
    if client == "requests":
        with requests.get(url, stream=True, timeout=30) as answer:
            for piece in answer.iter_content(4):
                seen.set()
                found += piece
    elif client == "urllib3":
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", url, preload_content=False)
            while piece := answer.read(4):
                seen.set()
                found += piece
    else:
        with httpx.Client() as opened, opened.stream("GET", url) as answer:
            for piece in answer.iter_raw():
                seen.set()
                found += piece
    return found


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("client", ["requests", "urllib3", "httpx"])
def test_an_answer_is_handed_on_before_it_has_ended(client, chunked, slow, recording, http_on):
    """Whoever reads piece by piece has the first while the server still waits, and all of it is recorded."""
    Slow.chunked = chunked
    url = f"http://127.0.0.1:{slow.server_port}/log"
    assert b"one\ntwo\n" == in_a_turn(lambda: pieces_of(client, url, slow.may_go_on))
    row = next(row for row in recording.rows if row["kind"] == "tool")
    assert ({"text": "one\ntwo\n"}, False) == (json.loads(row["output"])["body"], bool(row["lossy"]))


@pytest.mark.parametrize("client", [by_httpx, by_requests, by_urllib3])
def test_an_answer_that_is_too_long_is_not_held(client, shop, recording, http_on, monkeypatch):
    """Its reader has all of it; the record says how long it was, and no replay serves it."""
    monkeypatch.setattr(http_calls, "MOST_BYTES", 10)
    assert b'"n": 1.0' in in_a_turn(lambda: client(f"{shop}/a"))[1]
    row = recording.rows[-1]
    assert "too long" == json.loads(row["output"])["body"]["$auditlog"]
    assert row["lossy"]


def test_an_answer_that_cannot_be_told_does_not_disturb_its_reader(shop, recording, http_on, monkeypatch):
    """What goes wrong in the record stays in the record, which says so."""

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(http_calls, "told_response", fail)
    assert 200 == in_a_turn(lambda: by_httpx(f"{shop}/a")[0])
    assert recording.rows[-1]["lossy"]


def test_an_answer_that_is_left_half_way_is_recorded_as_that(shop, recording, http_on):
    """Closing a response ends its record."""

    def body():
        with requests.get(f"{shop}/a", stream=True, timeout=30) as answer:
            return next(answer.iter_content(4))

    assert b'{"pa' == in_a_turn(body)
    assert next(row for row in recording.rows if row["kind"] == "tool")["lossy"]
