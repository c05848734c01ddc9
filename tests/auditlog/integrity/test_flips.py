"""Every byte of a small store, changed one at a time."""

import pytest

from auditlog.errors import AuditlogError
from auditlog.ledger.note import VerifierKey

ENTRIES, CHECKPOINT, SETTINGS = "ledger/entries.log", "ledger/checkpoint", "store.toml"


def flips(attacker, name, step=1, first=0, last=None):
    """Change every so manieth byte of a file by one bit, give the position and what verifying says, and mend it."""
    path = attacker.path / name
    whole = path.read_bytes()
    for position in range(first, len(whole) if last is None else last, step):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        yield position, attacker.verify()
    path.write_bytes(whole)


@pytest.mark.parametrize("step", [61, pytest.param(1, marks=pytest.mark.slow)])
def test_each_byte_of_a_segment_counts(attacker, step):
    """Wherever in a sealed file one bit changes, that file is named, and no other."""
    name = str(attacker.segments()[0].relative_to(attacker.path))
    for position, report in flips(attacker, name, step):
        assert [name] == [fault.path for fault in report.faults], position


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_each_byte_of_the_entries_counts(attacker, step):
    """Wherever in the ledger's entries one bit changes, that file is named."""
    for position, report in flips(attacker, ENTRIES, step):
        assert "INVALID" == report.outcome, position
        assert ENTRIES in {fault.path for fault in report.faults}, position


def test_each_byte_of_the_checkpoint_counts(attacker):
    """Wherever in the checkpoint one bit changes, that file is named."""
    for position, report in flips(attacker, CHECKPOINT):
        assert [CHECKPOINT] == sorted({fault.path for fault in report.faults}), position


def test_each_byte_of_the_settings_that_means_something_counts(attacker):
    """Wherever in `store.toml` one bit changes the format, the id, the origin or the key, that file is named.

    Exempt are the comment, the white space, and `created`: a time that nothing relies on, and that the first entry's time
    bounds. A name whose letter changed is a name that is missing, and told as one.
    """
    text = attacker.layout.settings.read_text()
    created = text.index("created")
    exempt = {*range(text.index("\n")), *range(created, text.index("\n", created))}
    exempt |= {position for position, sign in enumerate(text) if sign.isspace()}
    for position, report in flips(attacker, SETTINGS):
        if position not in exempt:
            assert SETTINGS in {fault.path for fault in report.faults}, (position, text[position:][:20])


def test_the_public_key_that_a_stranger_brings_is_read_whole(attacker):
    """A key with one character changed is no key, rather than another one."""
    text = str(attacker.key().key)
    for bit in range(7):
        for position in range(len(text)):
            with pytest.raises(AuditlogError):
                VerifierKey.parse(
                    text[:position] + chr(ord(text[position]) ^ 1 << bit) + text[position + 1 :]
                )
