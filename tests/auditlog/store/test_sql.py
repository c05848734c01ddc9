"""A user's own SQL reads what was recorded, and reaches nothing else."""

import pytest

from auditlog.errors import FilterError


@pytest.fixture(params=["live", "sealed"])
def filled(request, store, script):
    """Give a store with one conversation, live or sealed."""
    script.turn("case-1", user='it\'s "quoted"')
    if request.param == "sealed":
        script.writer.close()
        store.seal()
    store.refresh()
    return store


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
        ("COPY spans TO '{store}/segments/out.csv'", "this is COPY"),
        ("DROP VIEW spans", "this is DROP"),
        ("CREATE TABLE x AS SELECT 1", "this is CREATE"),
        ("INSTALL httpfs", "this is LOAD"),
        ("SET threads = 1", "this is SET"),
        ("SELECT 1; SELECT 2", "this is 2"),
        ("", "this is none"),
        ("-- nothing", "this is none"),
        ("SELEC 1", "The query fails: Parser Error"),
        ("SELECT nothing FROM spans", "The query fails: Binder Error"),
    ],
)
def test_anything_but_one_select_is_refused(filled, text, said):
    """What is not one SELECT is refused with a sentence that says what it was."""
    with pytest.raises(FilterError, match=said):
        filled.select(text.replace("{store}", str(filled.path)))
    assert not (filled.path / "segments/out.csv").exists()


def test_a_query_without_end_is_stopped(filled):
    """A query that runs too long is stopped, and the store works on."""
    with pytest.raises(FilterError, match=r"longer than 0\.3 seconds and was stopped"):
        filled.select("SELECT count(*) FROM range(100000000000) a, range(100000) b", seconds=0.3)
    assert filled.select("SELECT 1 AS x").num_rows == 1


def test_our_own_queries_bind_values(filled):
    """A value with quotes is a value, in `query` as in `select`."""
    found = filled.query("SELECT count(*) AS n FROM spans WHERE user_text = ?", ['it\'s "quoted"'])
    assert found["n"][0].as_py() == 1
    with pytest.raises(FilterError, match="The query fails"):
        filled.query("SELECT nothing FROM spans")
