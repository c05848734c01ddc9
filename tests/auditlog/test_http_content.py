"""What is recorded of a request and its response."""

from __future__ import annotations

import pytest

from auditlog.http_content import exchange, template, told_response
from replay.canonical import lost_something


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
