"""The recogniser `names`, where its extra is installed."""

import orjson
import pytest

from auditlog import layout
from auditlog.errors import ConfigurationError
from auditlog.redaction import Redactor
from auditlog.redaction.recogniser import load, offered
from auditlog.redaction.settings import for_store
from auditlog.redaction.token import TOKEN

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def names():
    """Give the recogniser, or skip."""
    pytest.importorskip("spacy")
    from auditlog.redaction.names import Names

    return Names()


@pytest.fixture(scope="module")
def redactor(names):
    return Redactor(["default", "name"], recognisers=[names], key=KEY)


@pytest.mark.slow
def test_names_in_prose_are_found(redactor):
    """People are found in sentences, in escaped text and in sentences inside JSON; airports and orders are left."""
    told = orjson.loads(
        redactor.text(
            orjson.dumps(
                {
                    "said": "Hi, my name is Maria Gonzalez,\nand I live with Peter Schmidt.",
                    "arguments": '{"summary": "The customer Maria Gonzalez wants a refund", "from": "JFK"}',
                    "flight": "HAT170 from JFK to LAX",
                }
            )
        ).text
    )
    assert "Gonzalez" not in str(told)
    assert "Schmidt" not in str(told)
    assert {"summary", "from"} == set(orjson.loads(told["arguments"]))
    assert "HAT170 from JFK to LAX" == told["flight"]
    assert 1 == len({match[0] for match in TOKEN.finditer(told["arguments"].encode())} - {b""})


@pytest.mark.slow
def test_a_store_can_name_the_recogniser(names, store_path):
    """`recognisers = ["names"]` in the store's settings loads it for every process."""
    found = layout.ensure(store_path)
    with found.settings.open("a") as file:
        file.write('[redaction]\nredact = true\nrecognisers = ["names"]\n')
    redactor = for_store(found)
    assert "name" in redactor.kinds
    assert ["names"] == [recogniser.name for recogniser in redactor.recognisers]


def test_a_recogniser_that_is_not_there_is_refused():
    """A name that no package offers is refused, and the nearest named; ours is offered."""
    assert "names" in offered()
    with pytest.raises(ConfigurationError, match="The nearest is 'names'"):
        load("name")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    """Without spaCy or its model the message names the extra."""
    import sys

    from auditlog.redaction.names import Names

    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ConfigurationError, match=r"auditlog-replay\[names\]"):
        Names()
