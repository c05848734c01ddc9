"""What the tests of redaction share: a redactor with a fixed key."""

import pytest

from auditlog.redaction import Redactor

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def redactor():
    """Give a redactor of the default kinds."""
    return Redactor(key=KEY)


@pytest.fixture(scope="session")
def full_redactor():
    """Give a redactor of every kind that a pattern finds."""
    from auditlog.redaction import known_kinds

    return Redactor(list(known_kinds()), key=KEY)
