"""Conversations and Conversation, driven by keys."""

import re

import pytest
from textual.events import Key
from textual.widgets import Input

from tui.actions import of_screen
from tui.lines import LineView
from tui.screens.conversation import ConversationScreen
from tui.screens.conversations import ConversationsScreen


async def test_newest_first_with_state_in_words(fixed_store, app_on, until):
    """The list shows the newest conversation first, and each state as a glyph and a word."""
    async with app_on(fixed_store).run_test(size=(100, 20)) as pilot:
        text = await until(pilot, "case-8810")
        lines = [line for line in text.splitlines() if " 11-20 " in line and "case-88" in line]
        assert [name in line for name, line in zip(("8813", "8812", "8811", "8810"), lines, strict=True)] == [
            True
        ] * 4
        assert "✗ error" in lines[0]
        assert "▲ escalated" in lines[1]
        assert "✓ ok" in lines[2]


async def test_enter_opens_the_conversation_and_q_goes_back(fixed_store, app_on, until):
    """Enter opens the conversation under the cursor; q comes back to the same row."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8811")
        await pilot.press("j", "j", "enter")
        text = await until(pilot, "I have refunded 400 EUR")
        assert "issue_refund" in text
        assert "refund-limit" in text
        await pilot.press("q")
        await until(pilot, "Conversations")
        assert pilot.app.screen.query_one("#main", LineView).cursor == 2


@pytest.mark.parametrize("width", [60, 80, 160])
async def test_the_help_cuts_no_sentence(fixed_store, app_on, until, width):
    """What a key does can be read whole in a narrow window, too."""
    async with app_on(fixed_store).run_test(size=(width, 60)) as pilot:
        await until(pilot, "Where is my parcel?")
        await pilot.press("?")
        text = " ".join(re.sub("[│╭╮╰╯─▌]", " ", await until(pilot, "Keys of")).split())
        for action in of_screen("conversations")[:12]:
            assert action.help in text
            assert action.id in text


async def test_keys_behind_enter_belong_to_the_list(fixed_store, app_on, until):
    """What is typed at once behind the prompt's enter or escape moves in the list, and is no part of the text."""
    async with app_on(fixed_store).run_test(size=(100, 20)) as pilot:
        await until(pilot, "case-8810")
        keys = ["slash", *"case", "enter", "j", "slash", "x", "escape", "j"]
        for key in keys:
            pilot.app.post_message(Key(key, "/" if key == "slash" else key if len(key) == 1 else None))
        await until(pilot, "case-8811 3/4")
        assert pilot.app.screen.needle == "case"


async def test_filter_shows_only_matches_and_escape_clears(fixed_store, app_on, until):
    """A filter narrows the list, is shown with its count, and escape clears it."""
    async with app_on(fixed_store).run_test(size=(100, 20)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("f", *"status:error", "enter")
        text = await until(pilot, "1 match · esc clears")
        assert "case-8813" in text
        assert "case-8811" not in text
        assert "1 of 4" in text
        await pilot.press("escape")
        assert "case-8811" in await until(pilot, "case-8810")


async def test_no_match_is_said_differently_from_filtering(fixed_store, app_on, until):
    """A filter without a match says so; as long as it runs, the screen says that it is filtering."""
    async with app_on(fixed_store).run_test(size=(100, 20)) as pilot:
        await until(pilot, "case-8810")
        screen = pilot.app.screen
        assert isinstance(screen, ConversationsScreen)
        asked = []
        ask, screen.ask = screen.ask, lambda *args, **options: asked.append((args, options))
        await pilot.press("f", *"tool:nothing", "enter")
        assert "filtering…" in await until(pilot, "filtering…")
        screen.ask = ask
        for args, options in asked:
            screen.ask(*args, **options)
        text = await until(pilot, "0 matches · esc clears")
        assert "filtering…" not in text


async def test_filter_mistake_is_said_in_place_with_the_nearest_field(fixed_store, app_on, until):
    """A filter that does not parse stays in the prompt, and the nearest field is named while one types."""
    async with app_on(fixed_store).run_test(size=(100, 20)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("f", *"statis:error")
        assert "`status`" in await until(pilot, "nearest")
        await pilot.press("enter")
        assert pilot.app.screen.query_one(Input).value == "statis:error"
        await pilot.press("escape")
        assert "case-8810" in await until(pilot, "case-8810")


async def test_search_finds_contents_that_the_list_does_not_show(fixed_store, app_on, until):
    """/ goes to the conversation whose content holds the text, n to the next, and the conversation opens there."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        main = pilot.app.screen.query_one("#main", LineView)
        await pilot.press("/", *"APPROVAL", "enter")
        await until(pilot, "search APPROVAL")
        for _ in range(100):
            await pilot.pause(0.02)
            if main.cursor == 2:
                break
        assert main.cursor == 2
        await pilot.press("enter")
        await until(pilot, "refund-limit")
        view = pilot.app.screen.query_one("#main", LineView)
        assert "approval" in view.rows.blocks[view.cursor].whole_text


async def test_search_is_remembered(fixed_store, app_on, until):
    """The last search stands in the prompt again, on other screens too."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("/", *"Norway", "enter")
        await until(pilot, "search Norway")
        await pilot.press("enter")
        await until(pilot, "turn 1")
        await pilot.press("/")
        assert pilot.app.screen.query_one(Input).value == "Norway"


async def test_what_is_nowhere_is_said(fixed_store, app_on, until):
    """A search without a match says what was not found, on both screens."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("/", *"zebra", "enter")
        await until(pilot, "Nothing here holds 'zebra'")
        await pilot.press("enter")
        await until(pilot, "turn 1")
        await pilot.press("n")
        await until(pilot, "Nothing here holds 'zebra'")


async def test_marks_and_diff_of_two(fixed_store, app_on, until):
    """Space marks, and d compares exactly two marked conversations."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("d")
        await until(pilot, "0 marked")
        await pilot.press("space", "space")
        await until(pilot, "● 2 marked")
        await pilot.press("d")
        assert "first divergence" in await until(pilot, "case-8813 → case-8812")


async def test_replay_command_names_the_marked(fixed_store, app_on, until):
    """R shows the command that replays the marked conversations."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press("space", "space", "R")
        text = await until(pilot, "auditlog replay run")
        assert "conversation:case-8813,case-8812" in text


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        (("c",), "auditlog ls --store ./audit"),
        (("f", *"tool:x y", "enter", "c"), "auditlog ls --store ./audit --where 'tool:x y'"),
        (("enter", "c"), "auditlog show case-8813 --store ./audit"),
        (("r", "c"), "auditlog replay ls --store ./audit"),
    ],
)
async def test_every_view_has_a_command(fixed_store, app_on, until, keys, command):
    """C shows the command that prints the same, with the filter of the view."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.05)
        await until(pilot, command)


async def test_panes_by_width(fixed_store, app_on, until):
    """At 120 columns the evidence stands at the side; at 60 there is the transcript alone, and s stacks it."""
    async with app_on(fixed_store, conversation="case-8811").run_test(size=(120, 30)) as pilot:
        text = await until(pilot, "SYSTEM PROMPT")
        assert "requested  small-1" in text
        assert "served     small-1-0714" in text
        await pilot.resize_terminal(60, 24)
        for _ in range(50):
            await pilot.pause(0.02)
            if "SYSTEM PROMPT" not in await until(pilot):
                break
        assert "SYSTEM PROMPT" not in await until(pilot)
        await pilot.press("s")
        await until(pilot, "TURN 1")


async def test_call_opens_with_everything_that_was_recorded(fixed_store, app_on, until):
    """Enter on a call opens the span as JSON with ids and attributes."""
    async with app_on(fixed_store, conversation="case-8811").run_test(size=(100, 40)) as pilot:
        await until(pilot, "issue_refund")
        assert isinstance(pilot.app.screen, ConversationScreen)
        await pilot.press("/", *"issue_refund", "enter", "enter")
        text = await until(pilot, '"auditlog.tool.effect": "write"')
        assert '"amount": 400' in text


async def test_waterfall_fits_the_window(fixed_store, app_on, until):
    """W shows one bar a call of the turn, inside the window's width."""
    async with app_on(fixed_store, conversation="case-8811").run_test(size=(80, 30)) as pilot:
        await until(pilot, "issue_refund")
        await pilot.press("w")
        text = await until(pilot, "█")
        assert sum("█" in line for line in text.splitlines()) == 5
        assert max(len(line) for line in text.splitlines()) <= 80


async def test_brackets_go_from_turn_to_turn(fixed_store, app_on, until):
    """] goes to the next turn and [ back."""
    async with app_on(fixed_store, conversation="case-8811").run_test(size=(100, 24)) as pilot:
        await until(pilot, "issue_refund")
        screen = pilot.app.screen
        await pilot.press("]")
        assert screen.turn.index == 1
        await pilot.press("[")
        assert screen.turn.index == 0


async def test_unknown_conversation_names_the_nearest(fixed_store, app_on, until):
    """A conversation that is not there is a sentence on the screen, with the nearest id."""
    async with app_on(fixed_store, conversation="case-8819").run_test(size=(100, 24)) as pilot:
        assert "case-881" in await until(pilot, "Nothing to show")


async def test_empty_store_says_what_to_do(tmp_path, app_on, until):
    """An empty store shows what makes one that is not."""
    from auditlog.store import Store

    Store.create(tmp_path / "audit").close()
    async with app_on(tmp_path / "audit").run_test(size=(60, 20)) as pilot:
        await until(pilot, "Nothing is recorded here yet")
        await pilot.press("enter", "space", "d", "n", "G", "j", "R", "escape", "r")
        await until(pilot, "No replay has been run")


async def test_named_commands(fixed_store, app_on, until):
    """: runs an action by its name, and names the nearest where there is none."""
    async with app_on(fixed_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-8810")
        await pilot.press(":", *"runz", "enter")
        await until(pilot, "The nearest is 'runs'.")
        await pilot.press(":", *"runs", "enter")
        await until(pilot, "› Runs")


async def test_refresh_shows_what_was_recorded_since(tmp_path, app_on, until, traffic_for):
    """ctrl+r reads what was recorded after the screen was opened, and the cursor stays on its conversation."""
    from auditlog.store import Store

    path = tmp_path / "audit"
    with Store.create(path) as store:
        traffic = traffic_for(store)
        traffic.turn("case-1", "one", "first")
        async with app_on(path).run_test(size=(100, 24)) as pilot:
            await until(pilot, "case-1")
            traffic.turn("case-2", "two", "second")
            await pilot.press("ctrl+r")
            await until(pilot, "case-2")
            assert pilot.app.screen.query_one("#main", LineView).cursor == 1
        traffic.writer.close()


async def test_a_store_that_was_moved_away_is_said_to_be_gone(tmp_path, app_on, until, traffic_for):
    """When the store goes away while it is open, the screen says that, and not that there is nothing."""
    from auditlog.store import Store

    path = tmp_path / "audit"
    with Store.create(path) as store:
        traffic = traffic_for(store)
        traffic.turn("case-1", "one", "first")
        traffic.writer.close()
        store.seal()
    async with app_on(path).run_test(size=(140, 24)) as pilot:
        await until(pilot, "case-1")
        path.rename(tmp_path / "elsewhere")
        await pilot.press("ctrl+r")
        await until(pilot, "is gone: it was moved or deleted")
