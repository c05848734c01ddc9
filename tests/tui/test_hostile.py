"""Recorded content that attacks the terminal, through every screen."""

import re

import pytest

from auditlog.store import Store
from replay.results.compare import compare_conversations
from replay.results.comparisons import save_comparison
from tui.theme import Guard

ATTACKS = (
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[H",
    "\x9b2J\x90\x9d0;x\x9c",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "[@click=app.quit]quit[/]",
    "[/nope] [b",
    "\u202egnp.exe\u202c\u2066",
    "a\u200bb\u200dc\ufeffd\U000e0041",
    "\x00\x07\x08\x7f\r",
    "日本語 👩‍👩‍👧 e\u0301",
)
ATTACK = " ".join(ATTACKS)
LONG = "x" * 5_000_000 + ATTACK


def hostile_turn(traffic, conversation, arm, amount):
    """Write a turn in which every recorded name and text attacks."""
    shared = {
        "gen_ai.agent.name": f"agent {ATTACK}",
        "gen_ai.agent.version": f"v {ATTACK}",
        "user.id": ATTACK,
        "auditlog.tag.arm": arm,
        "auditlog.tag.task_id": "1",
        f"auditlog.tag.{ATTACK}": ATTACK,
    }
    turn = traffic.span(
        kind="agent",
        name=f"agent {ATTACK}",
        turn=None,
        conversation=conversation,
        status="error",
        attributes={**shared, "auditlog.escalation.reason": ATTACK, "auditlog.escalation.to": ATTACK},
        input={"question": f"question {ATTACK}"},
        output=f"answer {ATTACK} {arm}",
        error={"type": f"Error{ATTACK}", "message": ATTACK, "stack": ATTACK},
        evaluations=[{"name": f"reward{ATTACK}", "value": 1.0 if arm == "a" else 0.0, "label": ATTACK}],
    )
    inside = {"turn": turn, "conversation": conversation, "parent": turn}
    traffic.span(
        kind="retriever",
        name=f"help {ATTACK}",
        input={"query": ATTACK},
        documents=[{"id": f"{arm}{ATTACK}", "content": ATTACK, "score": 0.5, "source": ATTACK}],
        **inside,
    )
    traffic.span(
        kind="model",
        name=f"chat {ATTACK}",
        attributes={
            "gen_ai.request.model": f"m {ATTACK}",
            "gen_ai.response.model": f"n {ATTACK}",
            "gen_ai.prompt.name": ATTACK,
        },
        system_instructions=ATTACK,
        input_messages=[{"role": f"user{ATTACK}", "parts": [{"type": ATTACK, "content": ATTACK}]}],
        output_messages=[
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "name": ATTACK, "arguments": {ATTACK: ATTACK}}],
            }
        ],
        **inside,
    )
    traffic.span(
        kind="tool",
        name=f"refund {ATTACK}",
        input={ATTACK: ATTACK, "amount": amount},
        output={ATTACK: LONG if arm == "a" else ATTACK},
        **inside,
    )
    traffic.span(
        kind="handoff",
        name=ATTACK,
        input={"reason": ATTACK},
        status="error",
        error={"type": ATTACK, "message": ATTACK},
        **inside,
    )


@pytest.fixture(scope="session")
def hostile_store(tmp_path_factory, traffic_for):
    """Give a store of hostile traffic with a run that compares two of its conversations."""
    path = tmp_path_factory.mktemp("hostile") / "audit"
    with Store.create(path) as store:
        traffic = traffic_for(store)
        hostile_turn(traffic, f"case-a {ATTACK}", "a", 40)
        hostile_turn(traffic, f"case-b {ATTACK}", "b", 400)
        traffic.writer.close()
        store.refresh()
        found = compare_conversations(store.conversations("tag.arm:a"), store.conversations("tag.arm:b"))
        save_comparison(store, found, baseline=f"tag.arm:a {ATTACK}", candidate=f"tag.arm:b {ATTACK}")
    return path


# Keys, and a text that says that the screen is there.
WALK = (
    ((), "Conversations"),
    (("/", *"evil", "enter"), "search evil"),
    (("c",), "auditlog ls"),
    (("escape",), "Conversations"),
    (("R",), "auditlog replay run"),
    (("escape",), "Conversations"),
    (("?",), "Keys of"),
    (("escape",), "Conversations"),
    (("ctrl+p",), "Search for commands"),
    (("escape",), "Conversations"),
    (("y",), "Copied"),
    (("g", "space", "space", "d"), "first divergence"),
    (("z", "s", "b"), "Diff"),
    (("c",), "auditlog show"),
    (("escape", "q"), "Conversations"),
    (("G", "enter"), "user "),
    (("w", "j", "j", "j", "j", "j", "j", "s", "s", "y"), "Conversation"),
    (("g", "/", *"refund", "enter"), "search refund"),
    (("enter",), "span_id"),
    (("G", "/", *"owned", "enter"), "search owned"),
    (("q", "q"), "Conversations"),
    (("r",), "Runs"),
    (("enter",), "behave"),
    (("u", "j", "X", "x", "g", "z", "z", "X"), "accepted"),
    (("j", "enter"), "first divergence"),
    (("z", "s", "G", "k", "enter"), "step"),
)


@pytest.mark.parametrize("size", [(60, 20), (130, 40)])
async def test_no_screen_needs_the_last_guard(hostile_store, app_on, until, own_directory, monkeypatch, size):
    """Every screen shows hostile content without a crash, and cleans it before the last guard sees it."""
    dirty = []
    clean = Guard._clean

    def watching(segment):
        made = clean(segment)
        if made.text != segment.text:
            dirty.append(segment.text)
        return made

    monkeypatch.setattr(Guard, "_clean", staticmethod(watching))
    app = app_on(hostile_store, shown_path=f"./audit {ATTACK}")
    async with app.run_test(size=size, notifications=True) as pilot:
        for keys, wanted in WALK:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.02)
            text = await until(pilot, wanted, tries=1500)
            assert text.replace("\n", "").isprintable()
    assert dirty == []


def test_nothing_hostile_reaches_a_real_terminal(fixed_store, hostile_store, terminal, tmp_path):
    """The kinds of sequences that leave the program are the same as with harmless traffic, and none carries content."""
    kinds = {}
    for name, path in (("harmless", fixed_store), ("hostile", hostile_store)):
        window = terminal("tui", "--store", str(path), columns=130, lines=40, cwd=tmp_path)
        window.until("11-20 08:00")
        window.type("j", "\r")
        window.until("turn 1")
        window.type("w", "j", "j", "j", "j", "\r")
        window.until("span_id")
        window.type("G", "q", "q")
        window.until("Conversations")
        window.type("g", " ", " ", "d")
        window.until("first divergence")
        window.type("z", "q", "q")
        assert window.finish() == 0
        # Textual itself sets the mouse pointer's shape.
        raw = window.raw.replace(b"\x1b]22;default\x07", b"")
        assert b"\x1b]" not in raw
        kinds[name] = sequences(raw)
        text = raw.decode("utf-8")
        assert not set(
            re.findall("[\x80-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\U000e0041\x00\x07\x08\x7f]", text)
        )
    assert kinds["hostile"] <= kinds["harmless"]


def sequences(raw):
    """Give the kinds of escape sequences in what a program wrote: how each begins and ends, without its numbers."""
    found = set()
    for match in re.finditer(rb"\x1b(\[[<=>?]?)([0-9;:$]*)([@-~])|\x1b([\]PX^_])|\x1b([^\[\]PX^_])", raw):
        lead, numbers, final, string, other = match.groups()
        found.add(
            (lead, final, numbers if final not in (b"m", b"H") else b"") if lead else (string or other,)
        )
    return found


def test_a_hostile_id_on_the_command_line_is_shown_not_obeyed(fixed_store, terminal):
    """An id from a hostile ticket is named in the error without acting on the terminal."""
    window = terminal(
        "tui", "--store", str(fixed_store), "--conversation", "case\x1b]0;owned\x07\u202e", columns=160
    )
    assert window.finish() not in (0, None)
    assert b"\x1b]0" not in window.raw
    assert "\u202e".encode() not in window.raw
