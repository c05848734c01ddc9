"""The pure parts of the locks: hosts, rules, the environment."""

from __future__ import annotations

import os
import socket

import pytest

from replay.errors import RunError
from replay.sandbox.environment import scrubbed
from replay.sandbox.hosts import AllowedHosts, Host, parse_host
from replay.sandbox.rules import native_rules, rules


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("api.openai.com:443", Host("api.openai.com", 443)),
        ("API.OpenAI.com:443", Host("api.openai.com", 443)),
        ("https://api.openai.com/v1", Host("api.openai.com", 443)),
        ("http://localhost:8080/v1", Host("localhost", 8080)),
        ("http://localhost", Host("localhost", 80)),
        ("127.0.0.1:9", Host("127.0.0.1", 9)),
        ("[::1]:8080", Host("::1", 8080)),
    ],
)
def test_a_host_is_a_name_and_a_port(text, host):
    """Hosts are written as name:port, or as the address that a client is given."""
    assert host == parse_host(text)


@pytest.mark.parametrize(
    "text", ["", "api.openai.com", ":443", "a:0", "a:65536", "a:b", "::1", "a:٣", "ftp://x"]
)
def test_what_is_no_host_is_refused(text):
    """A host without a port, or with a port that is none, is an error that says how to write one."""
    with pytest.raises(RunError, match="Write name:port"):
        parse_host(text)


@pytest.fixture
def pinned(monkeypatch):
    """Pin a name to an address."""
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_a, **_k: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 443))],
    )
    hosts = AllowedHosts([Host("model.example", 443)])
    hosts.pin()
    return hosts


def test_a_pinned_name_keeps_its_addresses(pinned):
    """After pinning, a lookup gives the pinned address without asking anybody."""
    pinned._real = None
    assert [("192.0.2.7", 443)] == [answer[4] for answer in socket.getaddrinfo("Model.example", 443)]
    assert [("192.0.2.7", 443)] == [answer[4] for answer in socket.getaddrinfo(b"model.example", "https")]
    with pytest.raises(socket.gaierror, match="no address of the family"):
        socket.getaddrinfo("model.example", 443, socket.AF_INET6)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (("192.0.2.7", 443), True),
        (("192.0.2.7", 80), False),
        (("192.0.2.8", 443), False),
        ("/var/run/docker.sock", False),
        (b"\0abstract", False),
        (None, False),
        ((1, 2), False),
    ],
)
def test_only_a_pinned_address_and_port_are_allowed(address, allowed, pinned):
    """Another port, another address, a unix socket and what is no address are refused."""
    assert allowed == pinned.allows_address(address)
    refused = rules([], pinned)["socket.connect"]((None, address)) is not None
    assert refused == (not allowed)


def test_a_name_without_an_address_is_told():
    """A host that cannot be resolved when the worker begins is known, and is not reached later."""
    hosts = AllowedHosts([Host("no-such-host.invalid", 443)])
    real = socket.getaddrinfo

    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    hosts._real = unknown
    try:
        hosts.pin()
    finally:
        socket.getaddrinfo = real
    assert hosts.unresolved == ("no-such-host.invalid",)


@pytest.fixture
def table(tmp_path):
    """The rules with one scratch directory."""
    return rules([str(tmp_path)], AllowedHosts()), tmp_path


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("open", ("/etc/passwd", "r", os.O_RDONLY)),
        ("open", ("/dev/null", "w", os.O_WRONLY | os.O_CREAT)),
        ("open", (7, "w", os.O_WRONLY)),
        ("sqlite3.connect", (":memory:",)),
        ("sqlite3.connect", ("",)),
        ("socket.sendmsg", (None, None)),
    ],
)
def test_what_touches_nothing_is_let_be(event, args, table):
    """Reading, the null device, open descriptors and databases in memory are no violation."""
    assert table[0][event](args) is None


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("open", ("/etc/passwd", "a", os.O_WRONLY | os.O_APPEND)),
        ("open", ("/etc/passwd", None, os.O_RDWR)),
        ("open", ("/tmp/../etc/x", "w", None)),
        ("sqlite3.connect", ("file:/etc/x?mode=rwc",)),
        ("os.rename", ("/etc/a", "/etc/b", -1, -1)),
        ("os.link", ("/etc/a", "/etc/b", -1, -1)),
        ("os.system", (b"rm -rf /",)),
        ("os.fork", ()),
        ("os.kill", (1, 9)),
        ("socket.bind", (None, ("0.0.0.0", 80))),
        ("socket.sendto", (None, ("192.0.2.1", 53))),
        ("socket.gethostbyname", ("example.org",)),
        ("socket.getaddrinfo", ("example.org", 80, 0, 0, 0)),
        ("syslog.syslog", (1, "x")),
    ],
)
def test_what_would_touch_the_world_is_named(event, args, table):
    """Each refusal says in words what was tried."""
    assert table[0][event](args)


def test_files_in_scratch_may_be_written_and_links_out_of_it_not(table):
    """A path is judged by where it really leads."""
    allowed, scratch = table
    inside = scratch / "mine"
    assert allowed["open"]((str(inside), "w", os.O_WRONLY)) is None
    assert allowed["os.mkdir"]((str(inside), 511, -1)) is None
    (scratch / "out").symlink_to("/etc")
    assert allowed["open"]((str(scratch / "out" / "x"), "w", os.O_WRONLY))
    # A hard link to a file outside would make it writable from inside.
    assert allowed["os.link"](("/etc/passwd", str(inside), -1, -1))
    beside = f"{scratch}-beside/x"
    assert allowed["open"]((beside, "w", os.O_WRONLY))


def test_a_path_is_judged_from_the_directory_that_it_is_relative_to(table):
    """`dir_fd` is followed, so that scratch can be cleared up."""
    allowed, scratch = table
    directory = os.open(scratch, os.O_RDONLY)
    try:
        assert allowed["os.remove"](("mine", directory)) is None
    finally:
        os.close(directory)
    assert allowed["os.remove"](("mine", -1))


def test_arguments_of_a_program_are_not_repeated(table):
    """What a program was to be told may hold what a customer said."""
    said = table[0]["subprocess.Popen"](("mail", ["mail", "-s", "secret"], None, None))
    assert said == "run mail (subprocess.Popen)"
    assert table[0]["os.system"]((b"mail -s secret",)) == "run mail in a shell"


def test_native_code_is_refused_only_while_a_case_runs():
    """Loading libraries by hand is a rule of its own, for a case alone."""
    assert native_rules()["ctypes.dlopen"](("libc.so.6",)) == "load native code (libc.so.6)"
    assert "ctypes.dlopen" not in rules([], AllowedHosts())


def test_only_whole_paths_of_pythonpath_reach_a_worker():
    """An empty or relative part would be the agent's directory, from where Python runs code before any lock."""
    found = scrubbed({"PYTHONPATH": "/x::.:lib:/y"}, "/scratch")
    assert "/x:/y" == found["PYTHONPATH"]


def test_an_environment_holds_what_is_allowed_and_what_is_named():
    """Everything else, above all a tool's credentials, is not there."""
    found = scrubbed(
        {
            "PATH": "/bin",
            "AWS_SECRET_ACCESS_KEY": "x",
            "OPENAI_API_KEY": "k",
            "HOME": "/root",
            "STRIPE_KEY": "y",
        },
        "/scratch",
        ["OPENAI_API_KEY", "NOT_SET"],
    )
    assert {"PATH", "OPENAI_API_KEY", "HOME", "TMPDIR"} <= found.keys()
    assert not {"AWS_SECRET_ACCESS_KEY", "STRIPE_KEY", "NOT_SET", "AUDITLOG_STORE"} & found.keys()
    assert found["HOME"] == found["TMPDIR"] == "/scratch"
