"""The terminal UI of a store that encrypts, with its key and without."""

import pytest

from auditlog.layout import ensure
from auditlog.sealing import content_key
from auditlog.store import Store

PHRASE = "hippopotamus"


@pytest.fixture
def encrypted(tmp_path, traffic_for):
    """Give the path of a store that encrypts, with a conversation."""
    path = tmp_path / "audit"
    content_key.make(ensure(path))
    with Store.open(path) as store:
        traffic = traffic_for(store)
        traffic.turn("case-1", f"a purple {PHRASE}", f"no {PHRASE} here", escalated=f"the {PHRASE} bites")
        traffic.writer.close()
        store.seal()
    return path


def _leaks(root):
    places = ("segments", "ledger", "cache")
    files = [path for place in places for path in (root / place).rglob("*") if path.is_file()]
    return [path.name for path in files if PHRASE.encode() in path.read_bytes()]


async def test_with_the_key(encrypted, app_on, until, text_of_screen):
    """With the key, the list, a search and a conversation show what was said, and leave nothing of it in a file."""
    async with app_on(encrypted).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-1")
        await pilot.press("/", *PHRASE, "enter")
        await until(pilot, f"search {PHRASE}")
        await pilot.press("enter")
        await until(pilot, "turn 1")
        assert PHRASE in text_of_screen(pilot.app)
    assert [] == _leaks(encrypted)


async def test_without_the_key(encrypted, app_on, until, text_of_screen):
    """Without the key, the list and a conversation show structure, a search says which key it needs, and no content shows."""
    (encrypted / "keys" / "content.key").unlink()
    async with app_on(encrypted).run_test(size=(100, 24)) as pilot:
        await until(pilot, "case-1")
        assert PHRASE not in text_of_screen(pilot.app)
        await pilot.press("enter")
        await until(pilot, "turn 1")
        await until(pilot, "encrypted")
        assert PHRASE not in text_of_screen(pilot.app)
        await pilot.press("escape")
        await pilot.press("/", *"bites", "enter")
        await until(pilot, "content key")
        assert PHRASE not in text_of_screen(pilot.app)
    assert [] == _leaks(encrypted)
