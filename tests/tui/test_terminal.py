"""`auditlog tui` in a real pseudo-terminal: what a user sees and types."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("columns", "lines"), [(60, 20), (120, 40)])
def test_an_incident_from_the_first_screen_to_the_call(fixed_store, terminal, columns, lines):
    """One finds a refund by its words, opens the conversation there, sees the call and its JSON, and leaves."""
    window = terminal("tui", "--store", str(fixed_store), columns=columns, lines=lines)
    text = window.until("Where is my parcel?")
    assert "Conversations" in text
    assert "ledger" in text
    assert "✗ error" in text
    window.type("/", "charged twice", "\r")
    window.until("search charged twice")
    window.until("▌  11-20 08:01")
    window.type("\r")
    window.until("› Conversation case-8811")
    window.until("issue_refund")
    window.type("/", "issue_refund", "\r")
    window.until("search issue_refund")
    window.type("\r")
    window.until('"name": "issue_refund"')
    window.type("/", "amount", "\r")
    window.until('"amount": 400')
    window.type("q", "q")
    window.until("Conversations")
    window.type("q")
    assert window.finish() == 0
    assert columns == window.screen.columns


def test_narrow_window_has_no_side_pane_and_wide_has(fixed_store, terminal):
    """The evidence comes and goes with the window's width, and what was under the cursor stays."""
    window = terminal(
        "tui", "--store", str(fixed_store), "--conversation", "case-8811", columns=120, lines=40
    )
    window.until("SYSTEM PROMPT")
    window.resize(60, 20)
    window.until("SYSTEM PROMPT", gone=True)
    window.until("turn 1")
    window.resize(120, 40)
    window.until("SYSTEM PROMPT")
    window.type("q", "q")
    assert window.finish() == 0


def test_copy_writes_osc_52(fixed_store, terminal):
    """Y puts what is under the cursor on the clipboard by OSC 52."""
    window = terminal("tui", "--store", str(fixed_store))
    window.until("Where is my parcel?")
    window.type("y")
    window.until("Copied")
    assert b"\x1b]52;c;Y2FzZS04ODEz\x07" in window.raw


def test_copy_inside_tmux_is_wrapped(fixed_store, terminal):
    """Inside tmux the sequence goes through to the outer terminal."""
    window = terminal("tui", "--store", str(fixed_store), environ={"TMUX": "/tmp/tmux-0/default,1,0"})
    window.until("Where is my parcel?")
    window.type("y")
    window.until("Copied")
    assert b"\x1bPtmux;\x1b\x1b]52;c;Y2FzZS04ODEz\x07\x1b\\" in window.raw


def test_no_color_means_no_colour(fixed_store, terminal):
    """With NO_COLOR no colour leaves the program, and states are still told apart."""
    window = terminal("tui", "--store", str(fixed_store), environ={"NO_COLOR": "1"})
    text = window.until("Where is my parcel?")
    assert "✗ error" in text
    assert "▲ escalated" in text
    colours = {cell.fg for row in window.screen.buffer.values() for cell in row.values()} | {
        cell.bg for row in window.screen.buffer.values() for cell in row.values()
    }
    assert colours == {"default"}
    window.type("q")
    assert window.finish() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "nowhere"), "nowhere"),
        (("--conversation", "case-8819"), "case-881"),
        (("--run", "last"), "replay run"),
        (("--run", "last", "--conversation", "x"), "give one of them"),
    ],
)
def test_mistakes_are_sentences(fixed_store, tmp_path, terminal, arguments, said):
    """What cannot be opened is said before the screen is taken, with a non-zero exit code and no traceback."""
    store = () if "--store" in arguments else ("--store", str(fixed_store))
    window = terminal("tui", *arguments, *store, cwd=tmp_path, columns=200)
    assert window.finish() not in (0, None)
    assert said in window.text
    assert b"Traceback" not in window.raw
    assert b"\x1b[?1049h" not in window.raw


def test_without_a_terminal_the_commands_are_named(fixed_store):
    """With its output in a file it says what prints the same."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from auditlog.cli.main import main; raise SystemExit(main())",
            "tui",
            "--store",
            str(fixed_store),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode != 0
    assert "auditlog ls" in done.stderr
    assert done.stdout == ""


def test_own_keys(fixed_store, tmp_path, terminal):
    """A key from the user's file works, and the key bar shows it."""
    (tmp_path / "tui.toml").write_text('[keys]\n"conversations.runs" = "v"\n')
    window = terminal(
        "tui", "--store", str(fixed_store), environ={"AUDITLOG_TUI_CONFIG": str(tmp_path / "tui.toml")}
    )
    window.until(" v runs")
    window.type("v")
    window.until("› Runs")


def test_a_mistake_in_own_keys_is_a_sentence(fixed_store, tmp_path, terminal):
    """An unknown action in the user's file is named with its nearest, and nothing starts."""
    (tmp_path / "tui.toml").write_text('[keys]\n"conversation.runs" = "v"\n')
    window = terminal(
        "tui",
        "--store",
        str(fixed_store),
        environ={"AUDITLOG_TUI_CONFIG": str(tmp_path / "tui.toml")},
        columns=200,
    )
    assert window.finish() not in (0, None)
    assert "conversations.runs" in window.text


def test_a_vanished_terminal_ends_it(fixed_store, terminal):
    """When the window goes away and no SIGHUP comes, the process ends instead of reading for ever."""
    window = terminal("tui", "--store", str(fixed_store))
    window.until("Where is my parcel?")
    os.close(window.master)
    window.master = os.open(os.devnull, os.O_RDONLY)
    assert window.process.wait(timeout=60) == 129


def test_keys_typed_at_once_reach_the_prompt(fixed_store, terminal):
    """What is typed in one go, as a paste or a script does, opens the prompt and lands in it."""
    window = terminal("tui", "--store", str(fixed_store), columns=120)
    window.until("Where is my parcel?")
    window.type("/charged twice\r")
    window.until("search charged twice")
    window.type("\x1bf")
    window.type("fstatus:error\r")
    window.until("1 match")


def test_bytes_that_are_no_text_do_not_end_it(fixed_store, terminal):
    """A paste of bytes that are not UTF-8 lands in the prompt as far as it is text, and nothing ends."""
    window = terminal("tui", "--store", str(fixed_store), columns=120)
    window.until("Where is my parcel?")
    window.type("/")
    os.write(window.master, b"\x1b[200~ab\xff\xfe\x9b2Jcd[@click=app.quit]\x1b[201~")
    window.until("cd[@click=app.quit]")
    window.type("\r")
    window.until("holds")
    window.type("q")
    assert window.finish() == 0
