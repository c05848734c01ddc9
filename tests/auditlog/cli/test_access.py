"""Who looked at what: each command writes it to the ledger before it shows anything."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from auditlog.cli.exits import Exit
from auditlog.cli.main import main
from auditlog.layout import Layout
from auditlog.store.access import accesses


def last(store):
    """Give the last access of a store."""
    return list(accesses(Layout(store.path)))[-1]


@pytest.mark.parametrize(
    ("command", "action", "told", "ids", "rows"),
    [
        (("ls", "--where", "status:error"), "ls", "status:error", (), 1),
        (("ls", "--where", "tool:nothing"), "ls", "tool:nothing", (), 0),
        (("show", "case-2"), "show", None, ("case-2",), 3),
        (("show", "case-1", "--turn", "2"), "show", "turn 2", ("case-1",), 2),
        (("show", "case-2", "--raw"), "show", None, ("case-2",), 3),
        (("find", "charged", "twice"), "find", "text:'charged twice'", ("case-2",), 1),
        (("sql", "SELECT 1 AS one"), "sql", "SELECT 1 AS one", (), 1),
        (("export", "case-1"), "export", None, ("case-1",), 1),
        (("export", "--where", "agent:*bot", "--limit", "2"), "export", "agent:*bot", (), 2),
        (("access",), "access", None, (), 0),
    ],
)
def test_each_command_writes_what_it_shows(filled, run, command, action, told, ids, rows):
    """The ledger tells the action, the filter, the ids and the rows of each command that shows what was recorded."""
    run(*command, "--store", filled.path)
    found = last(filled)
    assert found.tool == "cli"
    assert (found.action, found.filter, found.ids, found.rows) == (action, told, ids, rows)
    assert (found.uid, found.pid) == (os.getuid(), os.getpid())
    assert found.who


def test_what_shows_nothing_writes_nothing(filled, run):
    """Commands that show no record, and a conversation that is not there, are no access."""
    for command in (("doctor",), ("seal",), ("show", "nope"), ("ls", "--where", "statis:x")):
        run(*command, "--store", filled.path)
    assert list(accesses(Layout(filled.path))) == []


def test_a_query_that_fails_is_an_access(filled, run):
    """The engine's complaint may quote a recorded value, so that what was asked is recorded first."""
    done = run("sql", "SELECT CAST(conversation_id AS INTEGER) FROM spans", "--store", filled.path)
    assert done.exit_code == Exit.ERROR
    assert last(filled).filter.startswith("SELECT CAST")


def test_it_is_written_before_anything_is_shown(filled, run, monkeypatch):
    """When the record is written, nothing has been printed."""
    from auditlog.cli import output
    from auditlog.store import access

    seen = []
    write, show = access.record, output.print_line
    monkeypatch.setattr(access, "record", lambda *a, **k: seen.append("written") or write(*a, **k))
    monkeypatch.setattr("auditlog.cli.show.print_line", lambda *a: seen.append("shown") or show(*a))
    run("show", "case-2", "--store", filled.path)
    assert seen[0] == "written"
    assert set(seen[1:]) == {"shown"}


def test_a_claimed_name_stands_beside_the_user(filled, run, monkeypatch):
    """AUDITLOG_USER is recorded as claimed; it never takes the place of the user that the system knows."""
    monkeypatch.setenv("AUDITLOG_USER", "anna")
    run("show", "case-2", "--store", filled.path)
    found = last(filled)
    assert found.claimed == "anna"
    assert found.who != "anna"
    listed = json.loads(run("access", "--who", "anna", "--format", "json", "--store", filled.path).stdout)
    assert [row["action"] for row in listed] == ["show"]


def test_accesses_are_listed_and_narrowed(filled, run):
    """The newest access stands first; user, conversation, action and time narrow the list, and nothing found is a 1."""
    run("ls", "--store", filled.path)
    run("show", "case-2", "--store", filled.path)
    table = run("access", "--store", filled.path).stdout.splitlines()
    assert "show" in table[1]
    assert "case-2" in table[1]
    assert "ls" in table[2]
    rows = json.loads(
        run("access", "--conversation", "case-2", "--format", "json", "--store", filled.path).stdout
    )
    assert [row["action"] for row in rows] == ["show"]
    assert run("access", "--who", "nobody-else", "--store", filled.path).exit_code == Exit.NO
    assert run("access", "--until", "yesterday", "--store", filled.path).exit_code == Exit.NO
    assert run("access", "--action", "access", "--since", "1h", "--store", filled.path).exit_code == Exit.OK


def test_a_long_query_is_cut_and_kept_as_a_hash(filled, run):
    """What is longer than an entry takes is cut, and its SHA-256 says what it was."""
    run("sql", f"SELECT '{'x' * 5000}' AS long", "--store", filled.path)
    found = last(filled)
    assert len(found.filter) < 2200
    assert "SHA-256" in found.filter


def test_a_hostile_filter_is_shown_and_not_obeyed(filled, run):
    """A filter that would act on a terminal is listed visibly."""
    run("find", "\x1b]0;owned\x07", "--store", filled.path)
    shown = run("access", "--store", filled.path).stdout
    assert "<ESC>]0;owned<BEL>" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def as_nobody(store, *arguments):
    """Run a command as a user who may read the store and not write to it."""
    for folder, _, files in os.walk(store.path):
        os.chmod(folder, 0o755)
        for name in files if not folder.endswith("keys") else ():
            os.chmod(os.path.join(folder, name), 0o644)
    # Python's own files may be root's alone: what the command needs is imported before the change.
    code = (
        "import contextlib, io, os, sys\n"
        "from auditlog.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(sys.argv[1:])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "main(sys.argv[1:])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), "--store", str(store.path)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def shared(filled, run):
    """Give a copy of the store where other users can read it; pytest's own directory is closed to them."""
    run("ls", "--store", filled.path)
    with tempfile.TemporaryDirectory(prefix="auditlog-test-") as directory:
        os.chmod(directory, 0o755)
        yield SimpleNamespace(path=Path(shutil.copytree(filled.path, Path(directory) / "audit")))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_reader_who_may_not_write_is_told(shared):
    """On a store that this user may not write to, reading works, and stderr says that it was not recorded."""
    done = as_nobody(shared, "show", "case-2")
    assert done.returncode == 0, done.stderr
    assert "I was charged twice" in done.stdout
    assert "This access was not recorded" in done.stderr
    assert [each.action for each in accesses(Layout(shared.path))] == ["ls", "show"]
    settings = shared.path / "store.toml"
    settings.write_text(settings.read_text() + "\n[access]\nrequired = true\n")
    refused = as_nobody(shared, "show", "case-2")
    assert refused.returncode == Exit.ERROR
    assert refused.stdout == ""
    assert "without a record nothing is shown" in refused.stderr


def test_a_filter_is_recorded_redacted_where_the_store_redacts(filled, run):
    """What one searched for is a customer's data too: where redaction is on, its token stands in the ledger."""
    from auditlog.redaction.token import ensure_key

    ensure_key(Layout(filled.path))
    run("find", "anna.smith@example.com", "--store", filled.path)
    assert "anna.smith" not in last(filled).filter
    assert "<email:" in last(filled).filter
    assert b"anna.smith" not in (filled.path / "ledger" / "entries.log").read_bytes()


def test_a_filter_that_cannot_be_redacted_is_withheld(filled, run, monkeypatch):
    """Where the key of a store that redacts cannot be read, the filter's text is not written at all."""
    (filled.path / "keys").mkdir(exist_ok=True)
    (filled.path / "keys" / "redaction.key").write_text("no key")
    run("find", "anna.smith@example.com", "--store", filled.path)
    assert "anna.smith" not in last(filled).filter
    assert last(filled).filter.startswith("withheld")


RECORDED = (
    "ls, show, find, sql, export, prove, access, reveal, tui, "
    "gate, replay run, replay verify, replay control, replay fork, "
    "replay ls, replay show, replay diff, replay compare, replay cache ls, "
    "replay score, replay calibrate, "
    "regress add, regress ls, regress show, regress history, regress run, regress judge, "
    "attack run, attack ls, attack show, attack coverage, attack keep"
).split(", ")
SHOWS_NO_CONTENT = (
    "demo, init, doctor, index, seal, verify, anchor, compact, prune, hold, release, erase, migrate, keys new, keys ls, import, "
    "replay cache prune, replay scorers, regress rm"
).split(", ")


def test_each_command_is_an_access_or_shows_no_content():
    """Whoever adds a command decides here whether looking with it is recorded."""

    def leaves(group, path):
        if not isinstance(group, click.Group):
            return [path.strip()]
        context = click.Context(group)
        return [
            leaf
            for name in group.list_commands(context)
            for leaf in leaves(group.get_command(context, name), f"{path} {name}")
        ]

    assert sorted([*RECORDED, *SHOWS_NO_CONTENT]) == sorted(leaves(main, ""))
