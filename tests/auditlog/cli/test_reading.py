"""The commands that read: ls, show, find, sql, and what they say where there is nothing."""

import csv
import io
import json
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from auditlog.cli.exits import Exit
from auditlog.cli.transcript import Style, conversation_lines
from auditlog.values import Conversation, Span, Turn


def test_ls_lists_newest_first(filled, run):
    """A table of the conversations, the newest first, that fits the terminal."""
    done = run("ls", "--store", filled.path)
    assert done.exit_code == Exit.OK
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["CONVERSATION", "case-3", "case-2", "case-1"]
    assert all(len(line) <= 100 for line in lines)
    assert "tool error" in lines[2]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--where", "status:error"], ["case-3"]),
        (["--where", "tool:issue_refund text:'charged twice'"], ["case-2"]),
        (["--where", "-agent:support-bot"], ["case-3"]),
        (["--agent", "support-*"], ["case-2", "case-1"]),
        (["--agent", "support-bot", "--where", "tag.arm:base"], ["case-2"]),
        (["--since", "1h", "--limit", "1"], ["case-3"]),
        (["--until", "2100-01-01"], ["case-3", "case-2", "case-1"]),
    ],
)
def test_ls_narrows(filled, run, options, found):
    """`--where`, `--agent`, `--since`, `--until` and `--limit` narrow together."""
    done = run("ls", "--store", filled.path, "--format", "jsonl", *options)
    assert [json.loads(line)["conversation_id"] for line in done.stdout.splitlines()] == found


def test_the_store_may_stand_before_the_command_or_in_the_environment(filled, run, monkeypatch):
    """`--store` before the command and AUDITLOG_STORE name it as well; what stands nearest wins."""
    assert "case-1" in run("--store", filled.path, "ls").stdout
    monkeypatch.setenv("AUDITLOG_STORE", str(filled.path))
    assert "case-1" in run("ls").stdout
    assert run("ls", "--store", "/nowhere").exit_code == Exit.ERROR


def test_formats_say_the_same(filled, run, tmp_path):
    """JSON, JSON lines, CSV and Parquet hold the same rows."""
    rows = json.loads(run("ls", "--store", filled.path, "--format", "json").stdout)
    lines = [
        json.loads(line)
        for line in run("ls", "--store", filled.path, "--format", "jsonl").stdout.splitlines()
    ]
    table = list(csv.DictReader(io.StringIO(run("ls", "--store", filled.path, "--format", "csv").stdout)))
    done = run("ls", "--store", filled.path, "--format", "parquet", "--output", tmp_path / "x.parquet")
    assert done.stdout == ""
    assert rows == lines
    assert [row["conversation_id"] for row in rows] == [row["conversation_id"] for row in table]
    assert [row["conversation_id"] for row in rows] == pq.read_table(tmp_path / "x.parquet")[
        "conversation_id"
    ].to_pylist()
    assert rows[1]["tags"] == {"arm": "base"}
    assert rows[1]["why"] == ["tool error"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits_the_terminal(filled, run, monkeypatch, width):
    """No line is wider than the terminal, and what matters most is on it."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("ls", "--store", filled.path).stdout.splitlines()
    assert all(len(line) <= width for line in lines)
    assert "case-2" in lines[2]
    assert ("MODEL" in lines[0]) == (width == 200)


def test_ls_says_how_many_more_there_are(filled, run):
    """A list that a limit cuts says so on stderr."""
    done = run("ls", "--store", filled.path, "--limit", "2")
    assert "2 of 3 conversations; --limit 0 lists all." in done.stderr


def test_nothing_that_matches_is_said(filled, run):
    """A filter that nothing matches ends with 1 and says how much there is; JSON is still JSON."""
    done = run("ls", "--store", filled.path, "--where", "user:nobody", "--format", "json")
    assert done.exit_code == Exit.NO
    assert json.loads(done.stdout) == []
    assert "There are no conversations that match user:nobody; the store holds 3." in done.stderr


@pytest.mark.parametrize("command", [["ls"], ["find", "x"], ["export"], ["replay", "run", "--agent", "a:b"]])
def test_an_empty_store_says_how_to_fill_it(store, run, command):
    """An empty store is a sentence, and not an empty page."""
    done = run(*command, "--store", store.path)
    assert done.exit_code != Exit.OK
    assert done.stdout == ""
    assert "holds no conversations" in done.stderr
    assert "auditlog import FILE" in done.stderr


COMMANDS_WITH_A_STORE = [
    ["ls"],
    ["show", "x"],
    ["find", "x"],
    ["sql", "SELECT 1"],
    ["seal"],
    ["export"],
    ["replay", "ls"],
]


@pytest.mark.parametrize("command", COMMANDS_WITH_A_STORE, ids=" ".join)
def test_a_store_that_is_none_is_a_sentence(run, tmp_path, command):
    """A path that is no store says so and how to make one."""
    done = run(*command, "--store", tmp_path / "nothing")
    assert done.exit_code == Exit.ERROR
    assert done.stdout == ""
    assert "does not exist. Make one with `auditlog init" in done.stderr


def test_a_store_of_a_newer_format_is_refused(store, run):
    """A newer format is named, with what to do."""
    settings = store.path / "store.toml"
    settings.write_text(settings.read_text().replace("format = 2", "format = 99"))
    done = run("ls", "--store", store.path)
    assert done.exit_code == Exit.ERROR
    assert "has format 99" in done.stderr
    assert "Upgrade auditlog-replay" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--where", "agnt:x"], "there is no field 'agnt'; the nearest is `agent`"),
        (["--since", "yesteday"], "'yesteday' is no point in time; the nearest is `yesterday`"),
        (["--since", "1h", "--until", "2h"], "--until 2h is not later than --since 1h"),
    ],
)
def test_what_does_not_parse_is_said_before_a_store_is_opened(run, options, says):
    """A filter or time that does not parse is explained, even where there is no store."""
    done = run("ls", "--store", "/nowhere", *options)
    assert done.exit_code == Exit.ERROR
    assert says in done.stderr


def test_show_reads_like_a_conversation(filled, run):
    """Turns in order, each with what was said, called, given back and answered."""
    done = run("show", "case-2", "--store", filled.path)
    assert done.exit_code == Exit.OK
    text = done.stdout
    assert text.startswith("case-2 · 1 turn · ")
    assert "support-bot v2 · user u-1 · arm=base" in text
    places = [
        text.index(part)
        for part in ("I was charged twice", "gpt-test · 10 in, 5 out", "issue_refund", "limit exceeded")
    ]
    assert places == sorted(places)
    assert '(read) order_id="A-2" amount=40' in text
    assert "! ValueError: limit exceeded" in text
    assert "answer    I could not refund it." in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_show_one_turn(filled, run):
    """`--turn` shows that turn, and a turn that is not there names the last."""
    done = run("show", "case-1", "--turn", "2", "--store", filled.path)
    assert "Thank you" in done.stdout
    assert "Where is my order?" not in done.stdout
    missing = run("show", "case-1", "--turn", "3", "--store", filled.path)
    assert missing.exit_code == Exit.ERROR
    assert "has 2 turns, so there is no turn 3. The last is --turn 2." in missing.stderr


def test_show_full_has_the_prompt(filled, run):
    """The system prompt is shown where all is asked for."""
    assert "Be kind." not in run("show", "case-1", "--store", filled.path).stdout
    assert "Be kind." in run("show", "case-1", "--full", "--store", filled.path).stdout


def test_show_leaves_out_what_was_not_recorded():
    """Many instrumentations leave out what was said: a turn without input has no line for it."""
    span = Span(trace_id="1" * 32, span_id="a" * 16, kind="agent", name="otel-bot", start_ns=0, end_ns=1)
    lines = conversation_lines(Conversation("c", (Turn(span, (span,)),)), Style())
    assert [line[:4] for line in lines] == ["c · ", "", "Turn"]


def test_show_raw_has_every_span(filled, run):
    """`--raw` is JSON of all that was recorded."""
    found = json.loads(run("show", "case-2", "--raw", "--store", filled.path).stdout)
    kinds = [span["kind"] for span in found["turns"][0]["spans"]]
    assert kinds == ["agent", "model", "tool"]
    assert found["turns"][0]["spans"][2]["input"] == {"order_id": "A-2", "amount": 40}


def test_an_id_that_does_not_exist_names_the_nearest(filled, run):
    """A miss says what was nearest; the beginning of one id is enough."""
    done = run("show", "cas-2", "--store", filled.path)
    assert done.exit_code == Exit.ERROR
    assert "There is no conversation 'cas-2'. The nearest is 'case-2'." in done.stderr


def test_find_says_where(filled, run):
    """A match names the conversation, the turn, what it is in, and the words around it."""
    done = run("find", "charged", "TWICE", "--store", filled.path, "--format", "json")
    assert done.exit_code == Exit.OK
    [match] = json.loads(done.stdout)
    assert match["conversation_id"] == "case-2"
    assert match["turn"] == 1
    assert match["where"] == "agent support-bot · input question"
    assert match["snippet"] == "I was charged twice"
    assert run("find", "A-2", "--store", filled.path).stdout.count("issue_refund") == 1


def test_find_reads_a_stream_as_one_text(store, script, run):
    """Words that came in two chunks are found, and shown as they were said."""
    script.turn(
        "case-1", user="hi", answer=["Use the ", "label dhl."], tools=(), attributes={"auditlog.stream": True}
    )
    done = run("find", "THE LABEL", "--store", store.path, "--format", "json")
    assert [match["snippet"] for match in json.loads(done.stdout)] == ["Use the label dhl."]


def test_find_takes_words_literally(filled, run):
    """Wildcards, quotes and filter syntax in the searched text are text."""
    for text in ("*", "status:error", "'", "100%", "\\"):
        assert run("find", "--store", filled.path, "--", text).exit_code == Exit.NO


def test_find_narrows_and_limits(filled, run):
    """The filter options narrow a search, and a limit is said."""
    assert run("find", "case", "--where", "status:ok", "--store", filled.path).exit_code == Exit.NO
    done = run("find", "e", "--limit", "1", "--store", filled.path)
    assert len(done.stdout.splitlines()) == 2
    assert "The first 1 matches" in done.stderr


def test_sql_gives_rows(filled, run):
    """A SELECT's rows come in every format, with the columns it names."""
    query = "SELECT agent_name, count(*) AS n FROM turns GROUP BY ALL ORDER BY n DESC"
    assert run("sql", query, "--store", filled.path).stdout.split() == [
        "agent_name",
        "n",
        "support-bot",
        "3",
        "other-bot",
        "1",
    ]
    rows = json.loads(run("sql", "-", "--format", "json", "--store", filled.path, stdin=query).stdout)
    assert rows == [{"agent_name": "support-bot", "n": 3}, {"agent_name": "other-bot", "n": 1}]
    twice = json.loads(run("sql", "SELECT 1 AS a, 2 AS a", "--format", "json", "--store", filled.path).stdout)
    assert twice == [{"a": 1, "a_1": 2}]


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW spans",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY spans TO 'x.csv'",
        "ATTACH 'x.db'",
        "SELECT nonsense FROM spans",
        "",
    ],
)
def test_sql_refuses_what_is_no_select(filled, run, query):
    """What is not one SELECT over the views is refused with a sentence."""
    done = run("sql", query, "--store", filled.path)
    assert done.exit_code == Exit.ERROR
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_sql_says_where_it_stopped(filled, run):
    """A limit that cuts is said."""
    done = run("sql", "SELECT span_id FROM spans", "--limit", "2", "--store", filled.path)
    assert len(done.stdout.splitlines()) == 3
    assert "The first 2 rows" in done.stderr


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 'infinity'::timestamp", "CAST it to VARCHAR"),
        ("SELECT '0044-03-15 (BC)'::date", "CAST it to VARCHAR"),
        ("SELECT timestamp_ns '2020-01-01 00:00:00.123456789'", "CAST it to VARCHAR"),
        ("SELECT 1 \udcff", "UTF-8"),
    ],
)
def test_sql_says_what_it_cannot_give(filled, run, query, said):
    """A value that has no place in a row, and bytes that are no text, are an error of the query and no mistake of ours."""
    done = run("sql", query, "--store", filled.path)
    assert (3, True) == (done.exit_code, said in done.stderr)


def test_sql_from_a_closed_stdin(filled, run, monkeypatch):
    """Where there is no standard input, nothing can be read from it."""
    monkeypatch.setattr("auditlog.cli.sql.sys", SimpleNamespace(stdin=None))
    done = run("sql", "-", "--store", filled.path)
    assert (3, True) == (done.exit_code, "Standard input is closed" in done.stderr)
