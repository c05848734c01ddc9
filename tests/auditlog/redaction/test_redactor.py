"""The redactor: JSON in, JSON out, nothing left of a value, and never written in clear."""

import base64
import json
import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.encoding.encode import encode
from auditlog.redaction import Found, Redactor
from auditlog.redaction.token import TOKEN, token

KEY = bytes(range(32))
REDACTOR = Redactor(key=KEY)
PLANTED = {
    "email": "anna.smith@example.com",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "phone": "+49 30 901820",
    "api_key": "AKIAIOSFODNN7EXAMPLE",
    "national_id": "123-45-6789",
}


def redacted(value, redactor=REDACTOR):
    return orjson.loads(redactor.text(orjson.dumps(value)).text)


def test_a_value_becomes_its_token():
    """A value is replaced by its kind and fourteen letters; what stands around it stays."""
    told = redacted("Write to anna@example.com, please.")
    assert re.fullmatch(r"Write to <email:[a-z]{14}>, please\.", told)


def test_one_customer_has_one_token_however_it_is_written():
    """Case, spaces, hyphens and percent-encoding do not make another customer."""
    same = [
        ["Anna@Example.com", "anna@example.com", "anna%40example.com"],
        ["4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"],
        ["DE89 3704 0044 0532 0130 00", "de89370400440532013000"],
        ["+1 415 555 0132", "(415) 555-0132", "415.555.0132"],
    ]
    for spellings in same:
        assert 1 == len({redacted(spelling) for spelling in spellings}), spellings


def test_dates_of_birth_have_one_token_however_they_are_written():
    """A month in words and ISO order mean the same day."""
    said = ["born on April 5, 1990", "born on 5 April 1990", "born on 1990-04-05", "born on Apr 5th, 1990"]
    assert 1 == len({TOKEN.search(redacted(text).encode())[0] for text in said})


def test_another_key_gives_another_token():
    """Without the store's key a token tells nothing."""
    assert token(KEY, "email", "a@b.de") != token(KEY[::-1], "email", "a@b.de")
    assert token(KEY, "email", "a@b.de") != token(KEY, "name", "a@b.de")


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("I am\nanna@example.com", r"I am\n<email:\w+>"),
        ("tab\tanna@example.com\r\nend", r"tab\t<email:\w+>\r\nend"),
        ('say "anna@example.com"', r'say "<email:\w+>"'),
        ("C:\\anna@example.com", r"C:\\<email:\w+>"),
        ("josé@müller.example ü", r"<email:\w+> ü"),
        ('{"mail": "x\\nanna@example.com"}', r'\{"mail": "x\\n<email:\w+>"\}'),
        ('{"mail": "jos\\u00e9@example.com"}', r'\{"mail": "<email:\w+>"\}'),
        ('{"mail": "anna\\u0040example.com"}', r'\{"mail": "<email:\w+>"\}'),
        ("😀anna@example.com", r"😀<email:\w+>"),
    ],
)
def test_escapes_neither_hide_a_value_nor_become_part_of_it(value, pattern):
    """Line ends, quotes, accents and escapes in JSON inside JSON are read as what they stand for."""
    assert re.fullmatch(pattern, redacted(value))


def test_the_accent_of_nested_json_is_no_other_customer():
    """An address has the same token whether its accent is escaped or not."""
    plain = TOKEN.search(redacted("josé@example.com").encode())[0]
    assert plain == TOKEN.search(redacted('{"a": "jos\\u00e9@example.com"}').encode())[0]


@pytest.mark.parametrize(
    "value",
    [
        {"card": 4111111111111111},
        {"cards": [1, 4111111111111111, 2.5]},
        [4111111111111111],
        [[1, 2], [4111111111111111]],
        {"arguments": '{"card": 4111111111111111, "n": 1}'},
        {"arguments": '{"cards": [4111111111111111, 5555555555554444]}'},
        {"deep": orjson.dumps({"arguments": '{"card": 4111111111111111}'}).decode()},
        {"last_four": 7447},
    ],
)
def test_a_number_becomes_a_string_as_deep_as_it_stands(value):
    """A card number that is a JSON number is found, and JSON inside JSON still parses at every depth."""
    told = redacted(value)
    while isinstance(told, dict) and isinstance(text := told.get("arguments") or told.get("deep"), str):
        told = orjson.loads(text)
    assert TOKEN.search(orjson.dumps(told))
    assert "4111" not in str(told)


def test_keys_of_objects_are_redacted_too():
    """A value that an agent uses as a key is a value."""
    assert ["<email:"] == [key[:7] for key in redacted({"anna@example.com": 1})]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)


def shape(value):
    """Give the shape of a value: numbers and texts are leaves."""
    if isinstance(value, dict):
        return {"items": [shape(item) for item in value.values()]}
    return [shape(item) for item in value] if isinstance(value, list) else None


@settings(max_examples=150)
@given(values)
def test_any_json_stays_json_of_the_same_shape_and_twice_is_once(value):
    """Whatever the value, the result is JSON of the same shape, and redacting it again changes nothing."""
    once = REDACTOR.text(orjson.dumps(value)).text
    assert shape(value) == shape(orjson.loads(once))
    assert once == REDACTOR.text(once).text


@settings(max_examples=200)
@given(value=values, kind=st.sampled_from(list(PLANTED)), data=st.data())
def test_a_planted_value_is_found_wherever_it_stands(value, kind, data):
    """A value is found as a text, in a sentence, as a key, in a list, in JSON inside JSON, at any depth."""
    secret = PLANTED[kind]
    before = data.draw(st.sampled_from(["", "Hello ", "x\n", '"', "é: ", "(", "<", "\\ ", "\t"]))
    after = data.draw(st.sampled_from(["", " bye", "\n", '"', ".", ")", ">", ", and", "\r\n"]))
    planted = f"{before}{secret}{after}"
    for layer in data.draw(st.lists(st.sampled_from(["list", "dict", "key", "json"]), max_size=4)):
        match layer:
            case "list":
                planted = [value, planted]
            case "dict":
                planted = {"a": planted, "b": value}
            case "key" if isinstance(planted, str):
                planted = {planted: value}
            case "json":
                planted = orjson.dumps(planted).decode()
    once = REDACTOR.text(orjson.dumps(planted))
    assert secret.encode() not in once.text
    assert kind in once.counts
    assert shape(planted) == shape(orjson.loads(once.text))
    assert once.text == REDACTOR.text(once.text).text


def test_a_record_says_what_was_taken_out():
    """A record says how many values of which kind it held, apart for what was known when it began."""
    entry = {"type": "start", "conversation": "case-anna", "name": "answer"}
    parts = REDACTOR.record(
        entry, {"attributes": b'{"user.id":"anna@example.com"}', "input": b'"a@b.de c@d.de"'}
    )
    attributes = orjson.loads(parts["attributes"])
    assert {"email": 3} == attributes["auditlog.redactions.start"]
    ended = REDACTOR.record({"type": "end"}, {"output": b'"4111111111111111"'})
    assert {"card": 1} == orjson.loads(ended["attributes"])["auditlog.redactions"]


def test_clean_parts_are_passed_on_as_they_are():
    """Where nothing is found, not one byte changes, and nothing is marked."""
    parts = {"attributes": b'{"a": 1}', "input": b'{"order" : "A-1"}'}
    assert parts == REDACTOR.record({"type": "start"}, parts)


def test_the_entry_which_nobody_can_erase_is_redacted():
    """A conversation that is named by an e-mail address is named by its token, each time the same."""
    first, second = ({"conversation": "anna@example.com", "name": "answer"} for _ in range(2))
    REDACTOR.record(first, {})
    REDACTOR.record(second, {})
    assert first == second
    assert {"conversation": REDACTOR.token("email", "anna@example.com"), "name": "answer"} == first


class Breaks:
    """A recogniser that fails, and whose error repeats what it was given."""

    name = "breaks"
    kinds = ("name",)

    def find(self, text):
        """Fail, telling what it was given."""
        raise RuntimeError(f"cannot look at {text}")


def test_what_cannot_be_redacted_is_not_written(caplog):
    """A part whose redaction fails is dropped, counted and marked; neither record nor log holds the value."""
    redactor = Redactor(["name"], recognisers=[Breaks()], key=KEY)
    entry = {"type": "end", "conversation": "anna@example.com"}
    parts = redactor.record(entry, {"output": b'"anna@example.com"'})
    assert {"attributes"} == set(parts)
    failed = ["conversation", "output"]
    assert {"auditlog.redaction_failed": failed, "auditlog.lossy": True} == orjson.loads(parts["attributes"])
    assert "<redaction failed>" == entry["conversation"]
    assert 2 == redactor.faults
    assert "anna" not in caplog.text


class Badges:
    """A recogniser as a user writes it."""

    name = "badges"
    kinds = ("badge",)

    def find(self, text):
        """Find badges."""
        return [Found(match.start(), match.end(), "badge") for match in re.finditer(r"B-\d{6}", text)]


def test_a_recogniser_adds_a_kind():
    """What a user's recogniser finds is replaced, in nested JSON and behind accents too, beside the patterns."""
    redactor = Redactor(["email", "badge"], recognisers=[Badges()], key=KEY)
    value = {"é": "ü B-123456\nanna@example.com", "arguments": '{"badge":"B-123456"}'}
    found = redactor.text(orjson.dumps(value))
    assert {"badge": 2, "email": 1} == found.counts
    assert f'{{"badge":"{redactor.token("badge", "b 123456")}"}}' == orjson.loads(found.text)["arguments"]
    assert found.text == redactor.text(found.text).text


class Greedy:
    """A recogniser that takes too much."""

    name = "greedy"
    kinds = ("name",)

    def find(self, text):
        """Take everything, and more."""
        return [Found(0, len(text), "name"), Found(-3, 10**9, "name"), Found(5, 2, "name")]


def test_a_recogniser_cannot_break_the_json():
    """A span over quotes and brackets is cut at them, and one out of range is left out."""
    redactor = Redactor(["name"], recognisers=[Greedy()], key=KEY)
    told = redacted({"a": '{"first": "Anna", "last": "Smith"}'}, redactor)
    assert 2 == len(orjson.loads(told["a"] if isinstance(told.get("a"), str) else next(iter(told.values()))))


def chunks(*texts):
    return [
        {"id": f"chatcmpl-{n}", "choices": [{"index": 0, "delta": {"content": text}}]}
        for n, text in enumerate(texts)
    ]


def streamed(value):
    return REDACTOR.record(
        {"type": "end"}, {"attributes": b'{"auditlog.stream":true}', "output": orjson.dumps(value)}
    )


@pytest.mark.parametrize("cut", range(1, len("anna@example.com")))
def test_a_value_split_over_two_chunks_is_found(cut):
    """Wherever a stream cuts an address in two, it is found, and the token stands where it began."""
    value = "anna@example.com"
    told = orjson.loads(streamed([f"to {value[:cut]}", f"{value[cut:]} now"])["output"])
    assert [f"to {REDACTOR.token('email', value)}", " now"] == told


def test_a_key_split_over_many_chunks_of_a_model_is_found():
    """A key that comes a few letters at a time in `delta.content` leaves nothing in any chunk; ids stay."""
    secret = "AKIAIOSFODNN7EXAMPLE"
    pieces = [secret[n : n + 3] for n in range(0, len(secret), 3)]
    parts = streamed(chunks("Use ", *pieces, " twice: ", *pieces))
    told = orjson.loads(parts["output"])
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in told)
    made = REDACTOR.token("api_key", secret)
    assert f"Use {made} twice: {made}" == text
    assert [f"chatcmpl-{n}" for n in range(len(told))] == [chunk["id"] for chunk in told]
    assert {"api_key": 2} == orjson.loads(parts["attributes"])["auditlog.redactions"]


def test_choices_and_tool_calls_of_one_stream_are_told_apart():
    """Texts of different choices are not joined to a value that nobody said; arguments of one tool call are."""
    apart = [
        {"choices": [{"index": n, "delta": {"content": text}}]}
        for n, text in enumerate(["anna@exam", "ple.com"])
    ]
    assert apart == orjson.loads(streamed(apart)["output"])
    call = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": text}}]}}]}
        for text in ('{"to": "anna@exam', 'ple.com"}')
    ]
    assert b"exam" not in streamed(call)["output"]


@pytest.mark.parametrize(
    ("hidden", "plain"),
    [
        ("anna.smith\u200b@example.com", "anna.smith@example.com"),
        ("anna\u200b.smith@exam\u2060ple.com", "anna.smith@example.com"),
        ("anna.smi\u00adth@example.com", "anna.smith@example.com"),
        ("anna.smith＠example.com", "anna.smith@example.com"),
        ("anna.smith%2540example.com", "anna.smith@example.com"),
        ("anna.smith&#64;example.com", "anna.smith@example.com"),
        ("４１１１１１１１１１１１１１１１", "4111111111111111"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "4111111111111111"),
        ("4111\u200b1111\u200b1111\u200b1111", "4111111111111111"),
    ],
)
@pytest.mark.parametrize(
    "dump", [orjson.dumps, lambda value: json.dumps(value).encode()], ids=["utf-8", "escaped"]
)
def test_signs_that_hide_a_value_do_not(hidden, plain, dump):
    """A value between signs that do not show, or in letters of another width, is found, and is the same customer."""
    found = orjson.loads(REDACTOR.text(dump(f"it is {hidden}, you see")).text)
    assert f"it is {redacted(plain)}, you see" == found
    pieces = orjson.loads(REDACTOR.text(orjson.dumps([hidden[:6], hidden[6:]]), chunks=True).text)
    assert redacted(plain) == "".join(pieces)


def test_a_text_between_hidden_signs_stays_as_it_is():
    """Full-width letters and signs that do not show stay where no value stands among them."""
    text = "\u200bＡ ５００ %25 &amp; \u2060 and anna.smith@example.com \u200b５"
    assert text.replace("anna.smith@example.com", redacted("anna.smith@example.com")) == redacted(text)


@pytest.mark.parametrize(
    "value",
    [
        b"I am anna.smith@example.com",
        b"\xff\xfe anna.smith@example.com \x80",
        "\ud83d anna.smith@example.com",
        {"deep": [bytearray(b"anna.smith@example.com"), memoryview(b"anna.smith@example.com")]},
        {b"anna.smith@example.com": ("\udc00anna.smith@example.com",)},
    ],
)
def test_what_the_encoder_wrote_as_base64_is_redacted(value):
    """Bytes, and texts that are no Unicode, hold no value either."""
    text = REDACTOR.text(encode(value).text).text.decode()
    opened = re.sub(r'"base64":"([^"]*)"', lambda match: base64.b64decode(match[1]).decode("latin-1"), text)
    assert "anna" not in opened
    assert "<email:" in opened
    clean = encode([b"\xff nothing", "\ud83d"]).text
    assert clean == REDACTOR.text(clean).text


def test_numbers_among_many_texts_take_no_time_of_their_square():
    """Ten thousand card numbers between texts are redacted in a list, and the list stays JSON."""
    value = ["x", 4111111111111111] * 10_000
    assert ["x", redacted("4111111111111111")] * 10_000 == redacted(value)
