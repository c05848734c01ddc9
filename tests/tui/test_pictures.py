"""The pictures in the documentation: made by the real application on the sample traffic, and held to what it shows.

`AUDITLOG_WRITE_PICTURES=1` writes them anew; without it their text must be that of the screen. Times differ from run
to run, so they count as equal.
"""

import html
import os
import re

import pytest

from auditlog.safe_text import cell_width
from tui.lines import LineView
from tui.screens.diff import DiffScreen

SIZE = (124, 32)

pytestmark = pytest.mark.usefixtures("fixed_standing")


def text_of_picture(svg):
    """Give the lines of text in a picture, top to bottom."""
    rows = {}
    for x, y, text in re.findall(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    return ["".join(text for _, text in sorted(row)) for _, row in sorted(rows.items())]


def comparable(lines):
    """Leave out what differs from run to run: durations, the name of a
    segment, blanks, and the window's title.
    """
    words = [
        re.sub(r"\d+(\.\d+)? (ms|s)\b|unsealed [\d,]+|/[0-9a-f]{8}-[\d-]+|[\d-]*\.parquet", "#", row)
        for row in lines
    ]
    words = [re.sub("─+", "─", row) for row in words]
    return [" ".join(row.split()) for row in words if row.strip() and row.strip() != "auditlog"]


def trimmed(element):
    """Leave blanks at the ends of a text out, which not every viewer keeps, and move the text to where it stood."""
    head, x, middle, length, tail, text = element.groups()
    cell = float(length) / max(1, cell_width(html.unescape(text).replace("\xa0", " ")))
    bare = re.sub(r"^(&#160;)+|(&#160;)+$", "", text)
    if not bare:
        return ""
    before = (len(text) - len(re.sub(r"^(&#160;)+", "", text))) // len("&#160;")
    after = (len(text) - len(bare)) // len("&#160;") - before
    return f"{head}{float(x) + before * cell:.1f}{middle}{float(length) - (before + after) * cell:.1f}{tail}{bare}</text>"


async def check(pilot, path):
    """Write the picture, or hold it to the screen."""
    made = re.sub(r"terminal-\d+-", "terminal-", pilot.app.export_screenshot(title="auditlog", simplify=True))
    # A picture fetches nothing: whoever looks at it has a font of their own.
    made = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", made, flags=re.DOTALL)
    made = re.sub(
        r'(<text class="[^"]*" x=")([\d.]+)(" y="[\d.]+" textLength=")([\d.]+)("[^>]*>)([^<]*)</text>',
        trimmed,
        made,
    )
    if os.environ.get("AUDITLOG_WRITE_PICTURES"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.rstrip() for line in made.splitlines()) + "\n", encoding="utf-8")
    assert path.exists(), f"{path} is missing: run the test with AUDITLOG_WRITE_PICTURES=1"
    assert comparable(text_of_picture(path.read_text(encoding="utf-8"))) == comparable(text_of_picture(made))


@pytest.fixture
def images(repository):
    """Give the directory of the pictures."""
    return repository / "docs" / "images"


async def test_picture_of_a_difference(sample_store, app_on, until, images, sample_cases):
    """tui-diff.svg shows the refund that version 2 tries without approval."""
    async with app_on(sample_store, run_id="last").run_test(size=SIZE) as pilot:
        await until(pilot, "blocked issue_refund")
        cases = pilot.app.screen.cases()
        case = next(
            c for c in cases if c.conversation_id == sample_cases["blocked"] and c.diff.behaves_differently
        )
        await pilot.app.push_screen(DiffScreen.of_cases(cases, case, "last"))
        await until(pilot, "▼ first divergence")
        await pilot.press("z")
        await until(pilot, "¶ answer")
        await until(pilot, "ledger ✓")
        await check(pilot, images / "tui-diff.svg")


async def test_picture_of_a_conversation(sample_store, app_on, until, images, sample_cases):
    """tui-conversation.svg shows an angry customer, what the agent saw, and the hand-over."""
    async with app_on(sample_store, conversation=sample_cases["missing"]).run_test(size=SIZE) as pilot:
        await until(pilot, "SYSTEM PROMPT")
        view = pilot.app.screen.query_one("#main", LineView)
        for _ in range(6):
            await pilot.press("j")
        await until(pilot, "ARGUMENTS")
        await until(pilot, "ledger ✓")
        assert view.cursor == 6
        await check(pilot, images / "tui-conversation.svg")
