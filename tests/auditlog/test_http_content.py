"""What is recorded of a request and its response."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.encoding.encode import encode
from auditlog.http_content import exchange, response_of, template, told_response
from replay.canonical import lost_something

FORM = "application/x-www-form-urlencoded"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/orders/8812/items", "/v1/orders/{id}/items"),
        ("/users/3f2b8c1e-0000-4000-8000-000000000000", "/users/{id}"),
        ("/search", "/search"),
        ("", "/"),
        ("/a%20b/x", "/{id}/x"),
    ],
)
def test_a_path_is_named_without_its_ids(path, expected):
    """Names of calls are few, whatever the ids are."""
    assert expected == template(path)


def test_a_multipart_body_is_the_same_whatever_its_boundary_is():
    """A client draws a boundary for each request; two requests of the same fields are one call."""

    def asked(boundary):
        body = f"--{boundary}\r\nx\r\n--{boundary}--".encode()
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return exchange("POST", "https://a.example/x", headers, body).arguments

    assert asked("abc123") == asked("zzz999")


def test_an_answer_in_which_a_secret_was_masked_is_lossy():
    """A token is not recorded, and so not served either."""
    told, lossy = told_response(
        200, [("content-type", "application/json")], b'{"access_token": "abc", "next_page_token": "n"}'
    )
    assert lossy
    assert {"json": {"access_token": "***", "next_page_token": "n"}} == told["body"]


def test_a_streamed_body_equals_no_other():
    """A body that is not at hand is marked as lost, so that a replay serves no other request's answer for it."""
    sent = exchange("POST", "https://shop.example/refunds", {}, None).arguments
    assert lost_something(sent)


def key_of(body, content_type="application/json", url="https://a.example/x"):
    """Give what a replay knows a request by."""
    told = exchange("POST", url, {"content-type": content_type}, body).arguments
    encoded = encode(told)
    assert not encoded.lossy
    return encoded.text


@pytest.mark.parametrize(
    ("one", "other", "content_type"),
    [
        (b'{"id": 123456789012345678901234}', b'{"id": 123456789012345678901235}', "application/json"),
        (b'{"id": -9223372036854775809}', b'{"id": -9223372036854775810}', "application/json"),
        (b"[0.12345678901234567890]", b"[0.12345678901234567891]", "application/json"),
        (b"[9007199254740993.0]", b"[9007199254740992.0]", "application/json"),
        (b"[1e-400]", b"[0]", "application/json"),
        (b'{"to": "a", "to": "b"}', b'{"to": "c", "to": "b"}', "application/json"),
        (b'{"to": "b"}', b'{"to": "c", "\\u0074o": "b"}', "application/json"),
        (b"name=caf%E9", b"name=caf%E8", FORM),
        (b"name=caf\xe9", b"name=caf\xe8", FORM),
        (b"name=caf%E9", "name=caf\N{REPLACEMENT CHARACTER}".encode(), FORM),
    ],
)
def test_bodies_that_say_different_things_are_different(one, other, content_type):
    """What a parser would lose is kept: an answer to the one is never served for the other."""
    assert key_of(one, content_type) != key_of(other, content_type)
    assert key_of(one, content_type) == key_of(one, content_type)


def test_queries_that_say_different_things_are_different():
    """Bytes of a query that are no UTF-8 are told as they are."""
    one, other = (key_of(b"", url=f"https://a.example/x?q=caf%{byte}&a=b+c") for byte in ("E9", "E8"))
    assert one != other
    assert key_of(b"", url="https://a.example/x?q=caf%e9&a=b%20c") == one


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)))
def test_numbers_that_python_writes_are_json(numbers):
    """What a parser reads as it was written is told as JSON, and equals the same in another order of names."""
    told = exchange("POST", "https://a.example", JSON, json.dumps({"a": numbers, "b": 'x": 1'}).encode())
    assert {"json": {"a": numbers, "b": 'x": 1'}} == told.arguments["body"]


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_two_numbers_are_one_call_only_where_they_are_equal(one, other):
    """Whatever is written, in whatever length, no other number is taken for it."""
    same = key_of(f"[{one}]".encode()) == key_of(f"[{other}]".encode())
    assert not same or one == other


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize(
    "body",
    [b'{"id":123456789012345678901234}', b'{"a":0.12345678901234567890,"a":[1.50,"\xc3\xa9"],"b":{}}'],
)
def test_an_answer_is_handed_out_with_all_its_digits(body, content_type):
    """A long id, a decimal and a name that stands twice are served as they were."""
    told, lossy = told_response(200, [("content-type", content_type)], body)
    assert not lossy
    assert body == response_of(told)[2]


def test_what_is_told_as_text_has_its_secrets_masked():
    """A long number elsewhere in a body uncovers nothing, whatever form the secret has."""
    secret = "pass word, 'quoted' 4711 4711"
    body = {
        "id": 10**30,
        "password": secret,
        "pin": 10**25,
        "tokens": ["s3cr3t-0123456789-abcdef", 1],
        "n": 4711,
    }
    told, lossy = told_response(200, [("content-type", "application/json")], json.dumps(body).encode())
    assert lossy
    masked = {**body, "password": "***", "pin": "***", "tokens": ["***", "***"]}
    assert masked == json.loads(told["body"]["text"])
    form, lossy = told_response(200, [("content-type", FORM)], b"a=%ff&pin=4711&user%5Bpassword%5D=x+y")
    assert lossy
    assert "a=%FF&pin=%2A%2A%2A&user%5Bpassword%5D=%2A%2A%2A" == form["body"]["text"]


def multipart(boundary, *amounts, quoted=False):
    """Give the key of a form of several parts."""
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="amount"\r\n\r\n{amount}\r\n'
        for amount in amounts
    )
    said = f'"{boundary}"; charset=utf-8' if quoted else boundary
    return key_of(f"{parts}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={said}")


def test_a_boundary_is_one_only_where_it_stands_as_one():
    """What a part holds is told as it is, though the boundary occurs in it."""
    assert multipart("1", "1") != multipart("2", "2")
    assert multipart("1", "--12") != multipart("2", "--22")
    assert multipart("1", "100") == multipart("2", "100")
    assert multipart("a b", "100", quoted=True) == multipart("c", "100")
    assert multipart("boundary", "100") == multipart("c", "100")


def test_what_only_looks_like_a_boundary_makes_no_second_part():
    """A text that holds the sign that stands for a boundary equals no body of two parts."""
    within = '1\r\n--boundary\r\nContent-Disposition: form-data; name="amount"\r\n\r\n2'
    assert multipart("abc", within) != multipart("abc", "1", "2")
    assert multipart("abc", within) != multipart("boundary", "1", "2")
