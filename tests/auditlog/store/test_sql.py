"""A user's own SQL reads what was recorded, and reaches nothing else."""

import os
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlog.errors import FilterError
from auditlog.store import sql, sql_child


def children():
    """Give this process's children that still run."""
    done = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=False
    )
    return [name for name in done.stdout.split() if name not in ("ps", "")]


@pytest.fixture
def filled(request, store, script):
    """Give a store with one conversation, sealed where nothing else is said."""
    script.turn("case-1", user='it\'s "quoted"')
    if getattr(request, "param", "sealed") == "sealed":
        script.writer.close()
        store.seal()
    store.refresh()
    return store


@pytest.mark.parametrize("filled", ["live", "sealed"], indirect=True)
def test_a_select_reads_the_views(filled):
    """Spans, turns, conversations and all_spans can be read, joined and described."""
    assert filled.select("SELECT kind, count(*) AS n FROM spans GROUP BY kind ORDER BY kind").to_pylist() == [
        {"kind": "agent", "n": 1},
        {"kind": "model", "n": 1},
        {"kind": "tool", "n": 1},
    ]
    assert filled.select("SELECT user_text FROM turns").to_pylist() == [{"user_text": 'it\'s "quoted"'}]
    assert filled.select("FROM conversations").num_rows == 1
    assert filled.select("SELECT input->>'question' AS q FROM spans WHERE kind = 'agent'").to_pylist() == [
        {"q": 'it\'s "quoted"'}
    ]
    assert filled.select("DESCRIBE spans").num_rows > 50
    assert filled.select("WITH t AS (FROM all_spans) SELECT count(*) AS n FROM t;")["n"][0].as_py() == 3


def test_a_limit_bounds_the_rows(filled):
    """No more rows come than asked for."""
    assert filled.select("SELECT * FROM range(1000000)", limit=10).num_rows == 10


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM read_text('{store}/store.toml')",
        "SELECT * FROM read_text('{store}/segments/../store.toml')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM filled",
    ],
)
def test_a_select_reaches_no_other_file_and_no_variable(filled, text):
    """Files outside the sealed ones, and this program's variables, are out of reach."""
    with pytest.raises(FilterError):
        filled.select(text.replace("{store}", str(filled.path)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ATTACH '/tmp/x.db'", "this is ATTACH"),
        ("COPY spans TO 'out.csv'", "this is COPY"),
        ("DROP VIEW spans", "this is DROP"),
        ("CREATE TABLE x AS SELECT 1", "this is CREATE"),
        ("INSTALL httpfs", "this is LOAD"),
        ("SET threads = 1", "this is SET"),
        ("SELECT 1; SELECT 2", "this is 2"),
        ("", "this is none"),
        ("-- nothing", "this is none"),
    ],
)
def test_anything_but_one_select_is_refused(text, said):
    """What is not one SELECT is refused with a sentence that says what it was."""
    with pytest.raises(FilterError, match=said):
        sql_child.refuse_all_but_select(duckdb.connect(), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("COPY spans TO '{store}/segments/out.csv'", "this is COPY"),
        ("SELEC 1", "The query fails: Parser Error"),
        ("SELECT nothing FROM spans", "The query fails: Binder Error"),
        ("SELECT error('my own words')", "^The query fails: Invalid Input Error: my own words$"),
        ("SELECT CAST('x' AS INTEGER)", "The query fails: Conversion Error"),
    ],
)
def test_a_mistake_in_a_query_is_the_askers(filled, text, said):
    """What a query gets wrong is said in a sentence, and nothing is blamed on the store."""
    with pytest.raises(FilterError, match=said):
        filled.select(text.replace("{store}", str(filled.path)))
    assert not (filled.path / "segments/out.csv").exists()


def test_a_query_without_end_is_stopped(filled):
    """A query that runs too long is stopped, and the store works on."""
    with pytest.raises(FilterError, match=r"longer than 0\.2 seconds and was stopped"):
        filled.select("SELECT count(*) FROM range(100000000000) a, range(100000) b", seconds=0.2)
    assert filled.select("SELECT 1 AS x").num_rows == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT repeat('x', 2000000000)", "memory"),
        ("SELECT count(*) FROM range(10000000000) a, range(1000000) b", r"longer than 0\.2 seconds"),
        ("SELECT length(repeat('x', 500000000) || repeat('y', 500000000))", r"longer than 0\.2 seconds"),
    ],
)
def test_a_query_that_wants_too_much_is_ended(filled, text, said):
    """A query that takes more memory or time than it may is killed, whatever it is doing, and leaves no process behind."""
    with pytest.raises(FilterError, match=said):
        filled.select(text, seconds=0.2)
    assert [] == children()


def test_a_result_is_limited_in_bytes(filled, monkeypatch):
    """A result that would fill the asker's memory is refused."""
    monkeypatch.setattr(sql, "MOST_BYTES", 1 << 20)
    with pytest.raises(FilterError, match="The result has more than 1 MB"):
        filled.select("SELECT repeat('x', 10000) FROM range(1000)")


def test_a_select_reads_only_what_the_ledger_lists(filled):
    """A Parquet file that lies among the sealed ones, and that the ledger does not list, is out of reach."""
    day = filled.path / "segments/day=2026-01-01"
    day.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": [1]}), day / "other.parquet")
    with pytest.raises(FilterError, match="reaches for a file"):
        filled.select(f"SELECT * FROM read_parquet('{day / 'other.parquet'}')")


def test_our_own_queries_bind_values(filled):
    """A value with quotes is a value, in `query` as in `select`."""
    found = filled.query("SELECT count(*) AS n FROM spans WHERE user_text = ?", ['it\'s "quoted"'])
    assert found["n"][0].as_py() == 1
    with pytest.raises(FilterError, match="The query fails"):
        filled.query("SELECT nothing FROM spans")
