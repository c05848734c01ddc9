"""Revealing and proving in the terminal UI: with a key, for a reason, for some minutes, and recorded first."""

import pytest

import auditlog
from auditlog.redaction.vault import generate
from auditlog.store import Store
from auditlog.store.access import accesses


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """Give the file of a private key, and its public key."""
    private, public = generate()
    path = tmp_path_factory.mktemp("key") / "reveal.key"
    path.write_text(private)
    path.chmod(0o600)
    return path, public


@pytest.fixture
def redacted(tmp_path, key):
    """Give the path of a store with one redacted and sealed conversation."""
    path = tmp_path / "audit"
    auditlog.configure(path, redact=True, reveal_key=key[1])
    try:

        @auditlog.agent
        def support(question):
            return "We wrote to anna.smith@example.com."

        with auditlog.conversation("case-1"):
            support("I am anna.smith@example.com")
    finally:
        auditlog.shutdown()
    with Store.open(path) as store:
        store.seal()
    return path


def actions(path):
    """Give the actions and reasons that the ledger tells of."""
    with Store.open(path) as store:
        return [(a.tool, a.action, a.reason) for a in accesses(store.layout)]


async def test_a_reveal_needs_a_reason_and_is_hidden_again(redacted, key, app_on, until):
    """U asks why, shows the originals with the time until when, and a second U hides them."""
    app = app_on(redacted, conversation="case-1", reveal_key=key[0])
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, "<email:")
        text = await until(pilot, "redacted")
        assert "anna" not in text
        await pilot.press("U", "enter")
        await until(pilot, "needs a reason")
        await pilot.press("U", *"ticket 17", "enter")
        text = await until(pilot, "REVEALED until")
        assert "I am anna.smith@example.com" in text
        await pilot.press("c")
        await until(pilot, "auditlog reveal case-1 --reason TEXT --key FILE")
        await pilot.press("escape", "U")
        text = await until(pilot, "<email:")
        assert "anna" not in text
        assert "REVEALED" not in text
    assert [told for told in actions(redacted) if told[1] == "reveal"] == [("tui", "reveal", "ticket 17")]


async def test_what_was_revealed_expires_on_every_screen(redacted, key, app_on, until):
    """After its minutes what was revealed is hidden, and a screen above that shows it is closed."""
    app = app_on(redacted, conversation="case-1", reveal_key=key[0], reveal_minutes=2 / 60)
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, "<email:")
        await pilot.press("U", *"ticket 17", "enter")
        await until(pilot, "REVEALED until")
        await pilot.press("enter")
        await until(pilot, "anna.smith@example.com")
        text = await until(pilot, "› Conversation case-1")
        for _ in range(500):
            if "REVEALED" not in text:
                break
            await pilot.pause(0.02)
            text = await until(pilot, "Conversation case-1")
        assert "anna" not in text


async def test_by_its_name_and_without_a_key(redacted, app_on, until):
    """The action has a name for `:`; without a key it says how to give one."""
    async with app_on(redacted, conversation="case-1").run_test(size=(140, 30)) as pilot:
        await until(pilot, "<email:")
        await pilot.press(":", *"reveal", "enter")
        await until(pilot, "--reveal-key FILE")


async def test_a_call_is_proven_against_the_signed_ledger(redacted, app_on, until):
    """V proves the conversation, and the evidence says in which row and entry the call stands."""
    async with app_on(redacted, conversation="case-1").run_test(size=(140, 40)) as pilot:
        await until(pilot, "v proves the leaf")
        await pilot.press("v")
        await until(pilot, "proven: row 1 of 1")
        text = await until(pilot, "of the signed ledger")
        assert "segments/day=" in text
    assert ("tui", "prove", None) in actions(redacted)
