"""What one looks at in the terminal UI is written to the ledger before it is shown; the title says how the ledger stands."""

import pytest

from auditlog.store import Store
from auditlog.store.access import accesses
from tui import reading


@pytest.fixture
def own_store(tmp_path, traffic_for):
    """Give the path of a store with two conversations, which a test may write to."""
    path = tmp_path / "audit"
    with Store.create(path) as store:
        traffic = traffic_for(store)
        traffic.turn("case-1", "one", "first")
        traffic.turn("case-2", "two", "second")
        traffic.writer.close()
        store.seal()
    return path


def told(path):
    """Give the accesses of a store: tool, action, filter, ids, rows."""
    with Store.open(path) as store:
        return [(a.tool, a.action, a.filter, a.ids, a.rows) for a in accesses(store.layout)]


async def test_lists_searches_and_conversations_are_recorded(own_store, app_on, until):
    """A list and its filter, a search, and each conversation that is opened are recorded; moving the cursor is not."""
    async with app_on(own_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-1")
        await pilot.press("j", "k", "j", "k", "G", "g")
        await pilot.press("f", *"agent:support-bot", "enter")
        await until(pilot, "2 matches")
        await pilot.press("/", *"second", "enter")
        await until(pilot, "search second")
        await pilot.press("enter")
        await until(pilot, "turn 1")
    assert told(own_store) == [
        ("tui", "list", None, (), 2),
        ("tui", "list", "agent:support-bot", (), 2),
        ("tui", "find", "second", (), 1),
        ("tui", "show", None, ("case-2",), 2),
    ]


async def test_a_preview_is_recorded_once(own_store, app_on, until):
    """A conversation shown beside the list is recorded the first time, however often the cursor comes back to it."""
    async with app_on(own_store).run_test(size=(140, 24)) as pilot:
        await until(pilot, "second")
        await pilot.press("j")
        await until(pilot, "first")
        await pilot.press("k")
        await pilot.pause(0.3)
        await pilot.press("j")
        await pilot.pause(0.3)
    previews = [ids for _, action, _, ids, _ in told(own_store) if action == "preview"]
    assert previews == [("case-2",), ("case-1",)]


async def test_who_cannot_be_recorded_is_told_and_the_title_says_so(own_store, app_on, until, monkeypatch):
    """Where the ledger takes no entry, reading goes on, a sentence says it once and the title from then on."""
    from auditlog.store import access

    monkeypatch.setattr(access, "record", lambda *a, **k: "This access was not recorded: read-only.")
    async with app_on(own_store).run_test(size=(140, 24)) as pilot:
        await until(pilot, "This access was not recorded")
        await pilot.press("j")
        text = await until(pilot, "not recorded ·")
        assert "case-1" in text


async def test_where_recording_is_required_nothing_is_shown_without(own_store, app_on, until, monkeypatch):
    """A store that requires a record shows nothing where none can be written."""
    from auditlog.errors import StoreError
    from auditlog.ledger import ledger

    settings = own_store / "store.toml"
    settings.write_text(settings.read_text() + "\n[access]\nrequired = true\n")

    def refuse(*_, **__):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(ledger, "append_entry", refuse)
    async with app_on(own_store, conversation="case-1").run_test(size=(140, 24)) as pilot:
        text = await until(pilot, "without a record nothing is shown")
        assert "first" not in text


async def test_the_title_says_up_to_where_the_ledger_is_signed(own_store, app_on, until):
    """The title gives the entry up to which signature and tree are in order, and says that nothing is anchored."""
    async with app_on(own_store).run_test(size=(140, 24)) as pilot:
        await until(pilot, "ledger ✓ to ")
        await until(pilot, "unanchored")


async def test_a_screen_that_is_opened_first_says_how_the_ledger_stands(own_store, app_on, until):
    """The title of the list of runs, shown before any conversation, says it too."""
    async with app_on(own_store).run_test(size=(140, 24)) as pilot:
        pilot.app.open_runs()
        await until(pilot, "› Runs")
        await until(pilot, "ledger ✓ to ")


async def test_a_changed_ledger_is_invalid_in_every_title(own_store, app_on, until):
    """When an entry is not what was signed, the title says INVALID, and a sentence says what is wrong."""
    with Store.open(own_store) as store:
        checkpoint = store.layout.ledger / "checkpoint"
    lines = checkpoint.read_text().split("\n")
    lines[2] = "A" * 43 + "="
    checkpoint.write_text("\n".join(lines))
    async with app_on(own_store, conversation="case-1").run_test(size=(60, 20)) as pilot:
        await until(pilot, "first")
        await until(pilot, "INVALID")


async def test_a_damaged_file_is_in_every_title_from_then_on(own_store, app_on, until):
    """A conversation whose file was changed is not shown, and no title calls the store in order after that."""
    [segment] = own_store.glob("segments/*/*.parquet")
    content = bytearray(segment.read_bytes())
    for at in range(4, len(content), 50):
        content[at] ^= 1
    async with app_on(own_store).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-1")
        segment.write_bytes(content)
        await pilot.press("enter")
        assert "Nothing to show" in await until(pilot, "store DAMAGED")
        await pilot.press("q")
        assert "store DAMAGED" in await until(pilot, "› Conversations")


async def test_standing_counts_what_is_signed(own_store):
    """What the title says is what the ledger says."""
    with Store.open(own_store) as store:
        found = reading.standing(store)
        assert (found.wrong, found.anchored, found.entries == found.signed > 0) == (None, False, True)
