"""Recorded content that attacks the terminal, through every command that shows it."""

import csv
import io
import json

import pytest

from auditlog.cli.formats import Column, json_text, table_lines, write_rows
from auditlog.cli.output import safe_json

ATTACKS = {
    "clipboard": "\x1b]52;c;aGVsbG8=\x07",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J",
    "c1": "\x9b2J",
    "link": "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
    "bidi": "a\u202eb\u2066c",
    "hidden": "a\u200bb\U000e0041\ufeff",
    "return": "real\rfake",
    "nul": "a\x00b\x7f",
    "marks": "e" + "\u0301" * 5000,
    "markup": "[@click=app.quit]x[/nope] [b",
    "formula": "=cmd()|' /C calc'!A0",
}
EVERYTHING = " ".join(ATTACKS.values())


@pytest.fixture
def attacked(store, script):
    """Give a store with one turn in which everything that can be recorded is hostile."""
    script.turn(
        EVERYTHING,
        user=EVERYTHING,
        answer=EVERYTHING,
        tools=((EVERYTHING, {EVERYTHING: EVERYTHING}, EVERYTHING, "ok"), ("t", {}, EVERYTHING, "error")),
        agent=EVERYTHING,
        version=EVERYTHING,
        user_id=EVERYTHING,
        model=EVERYTHING,
        attributes={
            "auditlog.tag.arm": EVERYTHING,
            f"auditlog.tag.{EVERYTHING}": "x",
            "auditlog.escalation.reason": EVERYTHING,
        },
        evaluations=[{"name": EVERYTHING, "value": 1, "label": EVERYTHING, "explanation": EVERYTHING}],
    )
    store.refresh()
    return store


COMMANDS = [
    ["ls"],
    ["ls", "--format", "json"],
    ["ls", "--format", "jsonl"],
    ["show", ATTACKS["clipboard"]],
    ["show", ATTACKS["clipboard"], "--full"],
    ["show", ATTACKS["clipboard"], "--raw"],
    ["show", "no such \x1b]0;owned\x07"],
    ["find", "owned"],
    ["find", "no such \x1b]0;owned\x07"],
    ["find", "owned", "--format", "json"],
    ["sql", "SELECT * FROM conversations"],
    ["sql", "SELECT input, output, tags FROM spans"],
    ["sql", "SELECT '\x1b]0;owned\x07' AS \"\x1b]0;owned\x07\""],
    ["sql", "SELECT \x1b]0;owned\x07"],
    ["ls", "--where", "nofield\x1b]0;owned\x07:x"],
    ["ls", "--where", "\x1b]0;owned\x07:x"],
    ["ls", "--since", "\x1b]0;owned\x07"],
    ["ls", "--store", "\x1b]0;owned\x07"],
    ["\x1b]0;owned\x07"],
    ["doctor"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: ascii(" ".join(command))[:40])
@pytest.mark.parametrize("width", [60, 120])
def test_nothing_that_is_shown_acts_on_the_terminal(attacked, run, monkeypatch, command, width):
    """Whatever is recorded or asked for, what a command prints is plain printable lines."""
    monkeypatch.setenv("COLUMNS", str(width))
    options = (
        []
        if "--store" in command or (len(command) == 1 and command[0].startswith("\x1b"))
        else ["--store", attacked.path]
    )
    done = run(*command, *options)
    assert "Traceback" not in done.stderr
    assert "should not" not in done.stderr
    assert done.stdout + done.stderr
    for line in (done.stdout + done.stderr).split("\n"):
        assert line.isprintable(), ascii(line[:200])
        assert "\u0301" * 10 not in line


def test_markup_stays_as_it_was(store, script, run):
    """Brackets are text, in the list, in the conversation and in what a search finds."""
    script.turn("c", user=ATTACKS["markup"])
    for command in (["ls"], ["show", "c"], ["find", "nope"]):
        assert "[@click=app.quit]x[/nope] [b" in run(*command, "--store", store.path).stdout


def test_json_says_what_was_recorded(attacked, run):
    """The escapes in JSON are JSON's own: parsing gives what was recorded."""
    [row] = json.loads(run("ls", "--format", "json", "--store", attacked.path).stdout)
    assert row["conversation_id"] == EVERYTHING
    assert row["tags"]["arm"] == EVERYTHING


@pytest.mark.parametrize("name", ATTACKS)
def test_safe_json_is_the_same_json(name):
    """JSON made safe to look at parses to the same value, and is printable."""
    text = json.dumps([ATTACKS[name], "Grüße 한국어 👩"], ensure_ascii=False)
    assert json.loads(safe_json(text)) == json.loads(text)
    assert safe_json(text).isprintable()
    assert "Grüße 한국어 👩" in safe_json(text)


def test_a_spreadsheet_runs_nothing(run, capfdbinary):
    """In CSV a text that a spreadsheet would run has a quote in front; numbers stay numbers."""
    cells = ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "plain", "a=b"]
    write_rows([{"cell": cell, "n": -1} for cell in cells], (), "csv")
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode(), newline="")))
    assert [row["cell"] for row in rows] == ["'=cmd()", "'+1", "'-1", "'@x", "'\tx", "'\rx", "plain", "a=b"]
    assert {row["n"] for row in rows} == {"-1"}


def test_json_takes_any_value():
    """Numbers, dates and keys that JSON does not have are written all the same."""
    assert (
        json_text({"n": 10**30, "set": {1}, 3: None})
        == '{"n": 1000000000000000000000000000000, "set": "{1}", "3": null}'
    )


def test_a_table_without_room_keeps_its_first_column():
    """A width that nothing fits still gives lines of that width."""
    columns = [Column("a", "ALPHA", 0), Column("b", "BETA", 1), Column("c", "GAMMA", 2, shrinks=True)]
    rows = [{"a": "한국어" * 20, "b": "x", "c": "y" * 100}]
    for width in (5, 20, 40, 70):
        lines = list(table_lines(rows, columns, width))
        assert lines[0].startswith("AL")
        from auditlog.safe_text import cell_width

        assert all(cell_width(line) <= width for line in lines)
