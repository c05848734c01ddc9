"""Hostile filters and queries: bound parameters, refused statements, and work that is stopped."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditlog.cli.exits import Exit

FILTERS = [
    'agent:"\' OR 1=1--"',
    "' OR 1=1--",
    "x;DROP VIEW spans",
    "agent:\"x'; ATTACH '/tmp/x.db'; --\"",
    'conversation:"%"',
    'conversation:"_ase-1"',
    "text:\"') OR ('1'='1\"",
    'tag.a"b:x',
    "tag.a'b:'x'",
]


@pytest.fixture
def filled(store, script):
    """Give a store with three conversations."""
    for number in range(1, 4):
        script.turn(f"case-{number}", user=f"question {number}", tools=())
    store.refresh()
    return store


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_is_a_value_and_never_sql(text, filled, run):
    """A filter that would be SQL matches nothing or does not parse, in every command that takes one."""
    for command in (("ls", "--where", text), ("export", "--where", text), ("find", "--", text)):
        done = run(*command, "--store", filled.path)
        assert done.exit_code in (Exit.NO, Exit.ERROR), (command, done.stdout)
        assert "should not" not in done.stderr
        assert done.stdout == ""
    assert len(json.loads(run("ls", "--format", "json", "--store", filled.path).stdout)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("text", ["' OR 1=1--", "x;DROP VIEW spans", 'agent:"\' OR 1=1--"'])
async def test_a_filter_typed_into_the_screen_is_a_value(text, filled, app_on, until):
    """The prompt's filter and search match nothing, or say what does not parse; the list comes back whole."""
    async with app_on(filled.path).run_test(size=(120, 20)) as pilot:
        await until(pilot, "case-3")
        await pilot.press("f")
        for character in text:
            await pilot.press(character)
        await pilot.press("enter")
        await pilot.pause(0.3)
        await pilot.press("escape", "escape")
        await until(pilot, "case-3")
        await pilot.press("/")
        await pilot.press(*text, "enter")
        await until(pilot, "Nothing here holds")


STATEMENTS = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT content FROM read_blob('{store}/keys/ledger.key')",
    "SELECT content FROM read_text('{store}/store.toml')",
    "SELECT content FROM read_text('{store}/segments/../keys/redaction.key')",
    "ATTACH '/tmp/x.db'",
    "COPY spans TO '{store}/segments/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "SELECT 1; DROP VIEW spans",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA database_list",
    "CREATE TABLE x AS SELECT 1",
    "EXPORT DATABASE '/tmp/x'",
    "CALL duckdb_settings()",
    "SELECT getenv('HOME')",
    "WITH x AS (SELECT 1) INSERT INTO y SELECT * FROM x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", STATEMENTS)
def test_a_query_reads_the_views_and_nothing_else(text, filled, run, tmp_path):
    """What reaches for a file, a key, an extension or a setting is refused in a sentence, and leaves nothing behind."""
    filled.seal()
    done = run("sql", text.replace("{store}", str(filled.path)), "--store", filled.path)
    assert (done.exit_code, done.stdout) == (Exit.ERROR, ""), done.stdout
    assert done.stderr.startswith("error: ")
    assert "should not" not in done.stderr
    assert not list((filled.path / "segments").rglob("*.csv"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM range(10000000000) a, range(10000000000) b",
        "SELECT length(repeat('x', 2000000000)) FROM range(100)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    ],
)
def test_work_without_end_is_killed_at_the_limit(text, filled, run_apart):
    """A query that would never end is stopped soon after its time, whatever the engine is doing."""
    done = run_apart("sql", text, "--seconds", "2", "--store", filled.path, timeout=60)
    assert done.returncode == Exit.ERROR
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_query_ends_with_whoever_asked_it(filled):
    """A query without end does not outlive its asker, however that ended."""
    query = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t"
    code = (
        "import sys; from auditlog.cli.main import main; main(['sql', sys.argv[1], '--store', sys.argv[2]])"
    )
    with subprocess.Popen([sys.executable, "-c", code, query, str(filled.path)]) as asker:
        children = Path(f"/proc/{asker.pid}/task/{asker.pid}/children")
        child = once(lambda: children.read_text().split())[0]
        once(lambda: ticks_of(child) > 300)
        asker.kill()
    assert once(lambda: is_over(child))


def once(ask):
    """Ask until there is an answer."""
    for _ in range(600):
        if answer := ask():
            return answer
        time.sleep(0.05)
    return None


def ticks_of(process):
    """Give the processor time of a process: three seconds are more than its start takes."""
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times))


def is_over(process):
    """Say whether a process has ended, be it that nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
