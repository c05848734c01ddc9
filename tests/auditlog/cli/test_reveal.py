"""Revealing: with the private key, for a reason, and not without a record of it."""

import json
import os

import pytest

import auditlog
from auditlog.cli.exits import Exit
from auditlog.redaction.vault import generate
from auditlog.store.access import accesses

SAID = "I am anna.smith@example.com, card 4111 1111 1111 1111"


@pytest.fixture
def key(tmp_path):
    """Give the file of a private key, and the public key."""
    private, public = generate()
    path = tmp_path / "reveal.key"
    path.write_text(private + "\n")
    path.chmod(0o600)
    return path, public


@pytest.fixture
def redacted(store, key):
    """Give a store with one conversation, redacted, its originals sealed to the key."""
    auditlog.configure(store.path, redact=True, reveal_key=key[1])
    try:

        @auditlog.agent
        def support(question):
            return "We wrote to anna.smith@example.com."

        with auditlog.conversation("case-1"):
            support(SAID)
    finally:
        auditlog.shutdown()
    store.refresh()
    return store


def actions(store):
    """Give the actions that the ledger tells of."""
    return [each.action for each in accesses(store.layout)]


def test_originals_stand_in_place_of_their_tokens(redacted, key, run):
    """With the key and a reason the conversation is shown as it was said; without, as it was recorded."""
    assert "anna" not in run("show", "case-1", "--store", redacted.path).stdout
    done = run("reveal", "case-1", "--reason", "ticket 17", "--key", key[0], "--store", redacted.path)
    assert done.exit_code == Exit.OK, done.stderr
    assert f"user      {SAID}" in done.stdout
    assert "answer    We wrote to anna.smith@example.com." in done.stdout
    assert "2 values revealed of 1 record" in done.stderr
    assert "anna" not in run("show", "case-1", "--store", redacted.path).stdout


def test_it_is_recorded_with_its_reason(redacted, key, run):
    """Who revealed what, and why, stands in the ledger; a customer's data in the reason is redacted there too."""
    reason = "ticket 17 of bob@example.com"
    run("reveal", "case", "--reason", reason, "--key", key[0], "--store", redacted.path)
    [found] = accesses(redacted.layout)
    assert (found.action, found.tool, found.ids, found.rows) == ("reveal", "cli", ("case-1",), 1)
    assert found.reason.startswith("ticket 17 of <email:")


def test_sealed_records_are_revealed_as_well(redacted, key, run):
    """The originals go with the record into its segment."""
    redacted.seal()
    done = run(
        "reveal", "case-1", "--reason", "x", "--key", key[0], "--format", "json", "--store", redacted.path
    )
    assert json.loads(done.stdout)["turns"][0]["user_text"] == SAID


def test_without_a_record_nothing_is_opened(redacted, key, run, monkeypatch):
    """Where the ledger takes no entry, a reveal is refused, and no vault is opened."""
    from auditlog.errors import StoreError
    from auditlog.ledger import ledger
    from auditlog.redaction import vault

    def refuse(*_, **__):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(ledger, "append_entry", refuse)
    monkeypatch.setattr(vault, "open_vault", lambda *_: pytest.fail("it was opened"))
    done = run("reveal", "case-1", "--reason", "x", "--key", key[0], "--store", redacted.path)
    assert (done.exit_code, done.stdout) == (Exit.ERROR, "")
    assert "without a record nothing is shown" in done.stderr


@pytest.mark.parametrize(
    ("reason", "content", "said"),
    [
        ("  ", lambda _: None, "needs a reason"),
        ("x", lambda _: "nonsense", "no private key"),
        ("x", lambda key: key[1], "no private key"),
        ("x", lambda _: generate()[0], "sealed to another key"),
    ],
    ids=["no reason", "nonsense", "the public key", "another key"],
)
def test_what_does_not_open_is_a_sentence(redacted, key, run, reason, content, said):
    """Without a reason, and with what is no key or another, nothing is shown."""
    if (text := content(key)) is not None:
        key[0].write_text(text)
    done = run("reveal", "case-1", "--reason", reason, "--key", key[0], "--store", redacted.path)
    assert (done.exit_code, done.stdout) == (Exit.ERROR, "")
    assert said in done.stderr


def test_a_key_that_others_can_read_is_told(redacted, key, run):
    """A private key's file that is open to others is worth a note."""
    key[0].chmod(0o644)
    done = run("reveal", "case-1", "--reason", "x", "--key", key[0], "--store", redacted.path)
    assert "chmod 600" in done.stderr


def test_a_conversation_without_sealed_originals(filled, key, run):
    """Where nothing was taken out and kept, that is said; the access is recorded all the same."""
    done = run("reveal", "case-2", "--reason", "x", "--key", key[0], "--store", filled.path)
    assert "Nothing was taken out" in done.stderr
    assert actions(filled) == ["reveal"]


def test_a_new_key_is_for_its_user_alone_and_in_no_store(store, run, tmp_path):
    """The private key goes to a new file of mode 0600 outside of any store, and the public one to stdout."""
    done = run("keys", "new", tmp_path / "mine.key")
    assert done.exit_code == Exit.OK
    assert done.stdout.startswith("auditlog-reveal-x25519:")
    assert os.stat(tmp_path / "mine.key").st_mode & 0o777 == 0o600
    assert "private" not in done.stdout
    assert "File exists" in run("keys", "new", tmp_path / "mine.key").stderr
    assert "lies in the store" in run("keys", "new", store.path / "keys" / "mine.key").stderr


def test_keys_are_listed_without_what_is_private(redacted, run):
    """The list says which keys are here, and shows nothing that opens anything."""
    done = run("keys", "ls", "--format", "json", "--store", redacted.path)
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["redaction"]["here"] == "yes"
    assert rows["reveal"]["here"] == "never"
    assert (redacted.path / "keys" / "redaction.key").read_text().strip() not in done.stdout
