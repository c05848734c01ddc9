"""Recorded text that would act on a terminal, hide, or never end: through an import, every command and the screens."""

import csv
import io
import re

import pytest

# What is recorded, and what stands for it wherever it is shown.
ATTACKS = {
    "osc 52": ("\x1b]52;c;aGVsbG8=\x07", "<ESC>]52;c;aGVsbG8=<BEL>"),
    "osc 0": ("\x1b]0;owned\x07", "<ESC>]0;owned<BEL>"),
    "csi 2J": ("\x1b[2J", "<ESC>[2J"),
    "c1": ("\x9b2J", "<U+009B>2J"),
    "osc 8": ("\x1b]8;;https://evil.example\x1b\\y", "<ESC>]8;;https://evil.example<ESC>\\y"),
    "click": ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    "markup": ("[/nope] [b", "[/nope] [b"),
    "bidi": ("\u202egnp.exe", "<U+202E>gnp.exe"),
    "zero width": ("a\u200bb", "a<U+200B>b"),
    "tags": ("a\U000e0041\U000e0042", "a<U+E0041><U+E0042>"),
    "nul": ("a\x00b", "a<NUL>b"),
    "carriage return": ("real\rfake", "real<CR>fake"),
}
HIDING = {"bidi": "U+202E", "zero width": "U+200B", "tags": "U+E0041"}


QUICK = ("osc 52", "markup", "bidi", "nul")


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ATTACKS]
)
def attack(request):
    """Give the name of an attack, what is recorded, and what is shown."""
    return (request.param, *ATTACKS[request.param])


@pytest.fixture
def attacked(attack, otlp, span, run, tmp_path):
    """Import a file in which every text is the attack, and give the store with what the import said."""
    _, text, _ = attack
    path = otlp(
        span(
            1,
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": text,
                "gen_ai.conversation.id": "case-1",
                "auditlog.tag.team": text,
                "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":{quoted(text)}}}]}}]',
            },
        ),
        span(
            2,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": text,
                "gen_ai.tool.call.arguments": f'{{"q":{quoted(text)}}}',
                "gen_ai.tool.call.result": text,
            },
            traceId=f"{1:032x}",
            parentSpanId=f"{1:016x}",
        ),
        span(3, {}, traceId=text),
        name="traces.json",
    )
    done = run("import", path, "--tag", f"arm={text}", "--store", tmp_path / "audit")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "audit", done


def quoted(text):
    """Give a text as JSON."""
    import json

    return json.dumps(text)


def plain(text):
    """Say whether nothing in a command's output acts on a terminal or hides."""
    return all(line.isprintable() for line in text.split("\n"))


def test_every_command_shows_it_and_none_obeys(attacked, attack, run):
    """Whatever command prints a hostile text, it stands there visibly, and hiding characters are named."""
    store, imported = attacked
    name, text, shown = attack
    assert plain(imported.stdout + imported.stderr)
    for command in (
        ("ls",),
        ("show", "case-1"),
        ("show", "case-1", "--full"),
        ("show", "case-1", "--raw"),
        ("find", text.strip("\r\n") or text),
        ("sql", "SELECT name, input, output FROM all_spans"),
        ("export",),
        ("ls", "--where", f"agent:'{text}'" if "'" not in text else "agent:x"),
    ):
        done = run(*command, "--store", store)
        assert done.exit_code in (0, 1, 3), (command, done.stderr)
        if command[0] != "export":
            assert plain(done.stdout + done.stderr), command
    done = run("show", "case-1", "--store", store)
    assert shown in done.stdout
    assert (HIDING.get(name, "-") in done.stderr) == (name in HIDING)


@pytest.mark.slow
async def test_the_screens_show_it_and_do_not_obey(attacked, attack, app_on, until):
    """The list, the conversation, the evidence and the search show a hostile text as it stands, and go on."""
    store, _ = attacked
    name, _, shown = attack
    async with app_on(store).run_test(size=(150, 40)) as pilot:
        await until(pilot, "case-1")
        await pilot.press("enter")
        text = await until(pilot, "RECORD")
        assert shown in text
        assert text.replace("\n", "").isprintable()
        if name in HIDING:
            assert HIDING[name] in text
        await pilot.press("enter")
        assert (await until(pilot, "span_id")).replace("\n", "").isprintable()


def test_a_lone_surrogate_is_visible_and_its_substitution_flagged(store, run):
    """A string that is no text is recorded with its surrogate visible, and what stands for it is named."""
    import auditlog

    auditlog.configure(store.path)
    try:

        @auditlog.tool(effect="read")
        def look(up):
            return up

        with auditlog.conversation("case-1"):
            look("a\ud800b")
    finally:
        auditlog.shutdown()
    store.refresh()
    [found] = store.spans("name = 'look'")
    assert "text" in str(found.attributes["auditlog.types_input"])
    done = run("show", "case-1", "--store", store.path)
    assert plain(done.stdout)
    assert "d800" in done.stdout.lower()


def test_five_megabytes_in_one_line_are_clipped(store, script, run):
    """A line without an end is clipped with its length and how to see the rest, and --raw has all of it."""
    text = "x" * 5_000_000
    script.turn("case-1", user=text, tools=())
    store.refresh()
    shown = run("show", "case-1", "--store", store.path).stdout
    assert len(shown) < 10_000
    assert "… 5,000,000 characters; --full shows them." in shown
    assert text in run("show", "case-1", "--raw", "--store", store.path).stdout
    assert len(run("ls", "--store", store.path).stdout) < 2_000


@pytest.mark.slow
async def test_five_megabytes_in_one_line_do_not_hold_up_the_screen(store, script, app_on, until):
    """The screen clips a line without an end, and Enter opens all of it."""
    script.turn("case-1", user="x" * 5_000_000, tools=())
    store.refresh()
    async with app_on(store.path, conversation="case-1").run_test(size=(100, 30)) as pilot:
        await until(pilot, "more characters: enter opens all")
        await pilot.press("j", "enter")
        await until(pilot, "xxxxxxxxxxxxxxxxxxxx")


async def test_ten_thousand_marks_on_one_letter(store, script, run, app_on, until):
    """Marks that pile up are cut off behind the eighth and said to be more; --raw has each."""
    text = "e" + "\u0301" * 10_000
    script.turn("case-1", user=text, tools=())
    store.refresh()
    shown = run("show", "case-1", "--store", store.path).stdout
    assert "<more marks>" in shown
    assert "\u0301" * 9 not in shown
    raw = run("show", "case-1", "--raw", "--store", store.path).stdout
    assert len(re.findall(r"\\u0301", raw)) >= 10_000
    async with app_on(store.path, conversation="case-1").run_test(size=(100, 30)) as pilot:
        await until(pilot, "<more marks>")


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-2", "@SUM(A1)", "\t=x", "\r=x"])
def test_a_spreadsheet_runs_nothing(text, store, script, run):
    """A recorded text that a spreadsheet would run has a quote in front of it in CSV."""
    script.turn("case-1", user=text, agent=text, tools=())
    store.refresh()
    done = run("sql", "SELECT agent_name FROM turns", "--format", "csv", "--store", store.path)
    [row] = csv.DictReader(io.StringIO(done.stdout, newline=""))
    assert row["agent_name"].startswith("'")
