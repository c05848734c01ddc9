"""schemas/redaction.json: every example is found, every counter-example is left."""

import dataclasses
import time

import orjson
import pytest

from auditlog.redaction import Redactor, known_kinds
from auditlog.redaction.scanner import Scanner, TooManyCandidatesError
from auditlog.redaction.token import TOKEN

PATTERNS = [(kind, pattern) for kind in known_kinds().values() for pattern in kind.patterns]
NAMES = [f"{kind.name}-{pattern.name}" for kind, pattern in PATTERNS]


def scanner_of(kind, pattern):
    return Scanner([dataclasses.replace(kind, patterns=(pattern,))])


@pytest.mark.parametrize(("kind", "pattern"), PATTERNS, ids=NAMES)
def test_each_example_is_found(kind, pattern):
    """A pattern has examples, and finds each of them, alone and in the middle of a sentence."""
    assert pattern.examples
    for example in pattern.examples:
        for text in (example, f"Well, {example}, as I said.", f"«{example}»"):
            assert [kind.name] == [span.kind for span in scanner_of(kind, pattern).find(text.encode())], text


@pytest.mark.parametrize(("kind", "pattern"), PATTERNS, ids=NAMES)
def test_each_counter_example_is_left(kind, pattern):
    """A pattern has counter-examples, and finds nothing in them."""
    assert pattern.counter_examples
    for example in pattern.counter_examples:
        assert [] == scanner_of(kind, pattern).find(example.encode()), example


@pytest.mark.parametrize(("kind", "pattern"), PATTERNS, ids=NAMES)
def test_each_example_is_redacted_among_all_kinds(kind, pattern, full_redactor):
    """With every kind switched on, an example leaves nothing of its value behind, and the JSON stays JSON."""
    for example in pattern.examples:
        (span,) = scanner_of(kind, pattern).find(example.encode())
        value = example.encode()[span.start : span.end]
        found = full_redactor.text(orjson.dumps({"said": [example]}))
        assert found.counts, example
        assert value not in found.text, example
        assert TOKEN.search(orjson.loads(found.text)["said"][0].encode()), example


def test_a_kind_has_what_the_documentation_needs():
    """A kind says what it is, and about fifteen are on by default."""
    assert all(kind.doc and kind.patterns for kind in known_kinds().values())
    assert 10 <= sum(kind.default for kind in known_kinds().values()) <= 20


TRAFFIC = [
    "Order #W2611340 with items 6469567736 and 8426249116, tracking 357962501027, costs 488.81.",
    "Flight HAT170 on 2024-05-22 from DFW at 15:00 to LAX, reservation 4WQ150, 3 bags, certificate_7504069.",
    '{"start": 1763881200000000000, "end": 1763881200123, "trace": "4bf92f3577b34da6a3ce929d0e0e4736"}',
    '{"id": "chatcmpl-AbCdEf1234567890AbCdEf123456", "tokens": 4096, "score": 0.4111111111111111}',
    "Version 1.2.3-4567, 10.000.000 rows, 99.9 %, §312, ISBN 978-3-16-148410-0, A4 210x297, 2024-05-16T10:20:30Z.",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "Call look_up_order(order_id='112-3456789-0123456') and wait 24-48 hours; see ticket 2024-000123.",
    "The password must have 12 characters; passport details are optional; born leaders; secret sauce.",
]


@pytest.mark.parametrize("text", TRAFFIC)
def test_what_only_looks_like_it_is_left(text, redactor):
    """Order numbers, ids, times, versions, digests and sums of money are nobody's data."""
    assert {} == redactor.text(orjson.dumps(text)).counts


FOUND_IN_PROSE = [
    ("I paid with 4111 1111 1111 1111 12/26 123.", "card"),
    ("order 1234 4111 1111 1111 1111", "card"),
    ("my card4 is 5555555555554444CVV123", "card"),
    ("IBAN DE89 3704 0044 0532 0130 00 then BIC", "iban"),
    ("Call +49 (0)30 901820-12 or", "phone"),
    ("anna@example.com.", "email"),
    ("<anna@example.com>", "email"),
    ("mailto:anna@example.com?subject=x", "email"),
    ("john.doe@mail.example.co.uk's", "email"),
    ("My date of birth is June 3rd, 1990 and", "date_of_birth"),
]


@pytest.mark.parametrize(("text", "kind"), FOUND_IN_PROSE)
def test_values_are_found_in_what_people_write(text, kind, redactor):
    """Neighbouring digits, punctuation and words do not hide a value."""
    assert [kind] == list(redactor.text(orjson.dumps(text)).counts)


HOSTILE = {
    "letters": b"a" * 50_000,
    "digits": b"4" * 50_000,
    "groups": b"4111 " * 10_000,
    "at": b"a@" * 25_000,
    "dots": b"a." * 25_000 + b"@" + b"a." * 25_000,
    "keys": b"sk-" * 17_000,
    "armour": b"-----BEGIN PRIVATE KEY-----" * 1_900,
    "tokens": b"eyJaaaaaaaa." * 4_000,
    "accounts": b"DE89 " * 10_000,
    "words": b"password: born passport phone " * 1_700,
    "escapes": b"\\\\" * 25_000,
    "angles": b"<email:" * 7_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_looked_through_and_hides_nothing(name, redactor):
    """50 KB made to keep a matcher busy cost about a second at the most, and a value behind them is found."""
    text = b'{"a":"' + HOSTILE[name] + b'","b":"anna@example.com"}'
    began = time.process_time()
    found = redactor.text(text)
    assert time.process_time() - began < 5
    assert b"anna@example.com" not in found.text
    assert orjson.loads(found.text)


def test_a_line_of_five_megabytes_is_looked_through_whole(redactor):
    """One line of 5 MB is no different."""
    found = redactor.text(orjson.dumps("clean text " * 450_000 + "anna@example.com"))
    assert {"email": 1} == found.counts


def test_a_text_of_nothing_but_candidates_is_given_up(redactor):
    """A text with hundreds of thousands of candidates is refused, so that it is dropped and not written in clear."""
    with pytest.raises(TooManyCandidatesError):
        redactor.text(orjson.dumps("4111 " * 400_000))


def test_an_unknown_kind_names_the_nearest():
    """A kind that is not known is refused, and the nearest named."""
    with pytest.raises(Exception, match="The nearest is 'email'"):
        Redactor(["emial"])
