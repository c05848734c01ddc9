"""Secrets in what HTTP carries: masked by any spelling, and told apart by a digest under the store's key."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

import auditlog
from auditlog import config, http_calls, masks
from auditlog.cli.keys import _rows
from auditlog.errors import ConfigurationError
from auditlog.http_content import exchange, response_of, told_response
from auditlog.http_secrets import is_secret, looks_secret
from auditlog.layout import ensure
from auditlog.store import Store
from replay.canonical import lost_something

SECRET = "s3cr3t-Value-0123456789"
JSON = {"content-type": "application/json"}


@pytest.fixture
def keyed():
    """Mask with a key."""
    masks.use(b"k" * 32)
    yield
    masks.use(None)


def asked(url="https://a.example/x", body=b"", content_type="", method="POST"):
    """Give a request's recorded arguments."""
    return exchange(method, url, {"content-type": content_type}, body).arguments


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "accessToken",
        "clientSecret",
        "client-secret",
        "CLIENT_SECRET",
        "user[password]",
        "newPassword2",
        "password_confirmation",
        "x-api-key",
        "apiKey",
        "X-Amz-Signature",
        "refresh_tokens",
        "sig",
        "Authorization",
    ],
)
def test_a_secret_is_one_by_any_spelling(name):
    """Case, separators, brackets and numbers in a name do not hide what it ends with."""
    assert is_secret(name, "abc")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("next_page_token", SECRET),
        ("nextPageToken", SECRET),
        ("max_tokens", 100),
        ("input_token", 7),
        ("code", "EUR"),
        ("country_code", "DE"),
        ("key", "name"),
        ("sort_key", "created_at"),
        ("secret", True),
        ("password", None),
        ("author", "Ann"),
    ],
)
def test_what_only_sounds_like_a_secret_is_none(name, value):
    """Places where pages go on, counts, countries and columns are recorded as they are."""
    assert not is_secret(name, value)


@pytest.mark.parametrize("value", ["4/0AX4XfWh-abcdefghijkl0", "0123456789abcdef0123"])
def test_a_code_or_key_that_was_drawn_is_one(value):
    """The code of a log-in is a secret, though a currency's is none."""
    assert is_secret("code", value)
    assert is_secret("key", value)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (
            json.dumps({"token": SECRET, "a": [{"clientSecret": SECRET, "tokens": [SECRET]}]}),
            "application/json",
        ),
        (f"token={SECRET}&accessToken={SECRET}", "application/x-www-form-urlencoded"),
        (f"<a><Password>{SECRET}</Password><ns:apiKey x='1'>{SECRET}</ns:apiKey></a>", "text/xml"),
        (f"password: {SECRET}\nAPI_KEY={SECRET}", "text/plain"),
        (f'{{"token": "{SECRET}"}}\n{{"api_key": "{SECRET}"}}', "application/x-ndjson"),
        (f'broken {{"token": "{SECRET}"', "application/json"),
        (
            f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{SECRET}\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
        (
            f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{SECRET}\r\n\udcff',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_no_body_tells_what_it_calls_a_secret(body, content_type, keyed):
    """JSON, forms, XML, plain text, lines of JSON, broken JSON and multipart bodies are masked by their names."""
    told = json.dumps(asked(body=body.encode(errors="surrogateescape"), content_type=content_type))
    assert SECRET not in told
    if "base64" not in told:
        assert masks.MASK in told


def test_a_number_that_is_called_a_secret_is_masked(keyed):
    """A PIN is no less one for having no quotes."""
    told = asked(body=b'{"pin": 4711, "cvc": "123", "amount": 4711}', content_type="application/json")["body"]
    assert 4711 == told["json"]["amount"]
    assert told["json"]["pin"].startswith("***:")
    assert told["json"]["cvc"].startswith("***:")


@pytest.mark.parametrize(
    "path",
    [
        "/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage",
        "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXx1",
        "/api/webhooks/12345678/abc-def_ghijklmnop-1",
        "/reset/0f4c1d2e3b4a59687f0f4c1d2e3b4a59687f",
    ],
)
def test_secrets_in_paths_are_masked(path, keyed):
    """A bot's token, a webhook's and a link that lets in are no part of the address that is recorded."""
    url = asked(f"https://a.example{path}")["url"]
    assert max(path.split("/"), key=len) not in url
    assert "***:" in url


@pytest.mark.parametrize(
    "piece",
    [
        "3f2b8c1e-0000-4000-8000-000000000000",
        "507f1f77bcf86cd799439011",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "order-2024-11-23-confirmed",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "A-Photo-of-2024-in-Summer.jpeg",
    ],
)
def test_ids_in_paths_stay(piece):
    """UUIDs, object ids, prefixed ids, digests and file names say what was asked for, and are recorded."""
    assert not looks_secret(piece)


def test_two_secrets_are_two_requests_and_one_is_one(keyed):
    """What is masked takes part in matching by its digest: another value is another call."""
    for one, other in (
        (asked(f"https://a.example/x?token={SECRET}"), asked("https://a.example/x?token=other")),
        (
            asked(body=b'{"password": "a"}', content_type="application/json"),
            asked(body=b'{"password": "b"}', content_type="application/json"),
        ),
    ):
        assert one != other
    assert asked(f"https://a.example/x?token={SECRET}") == asked(f"https://a.example/x?token={SECRET}")
    assert asked("https://a.example/rate?code=EUR") != asked("https://a.example/rate?code=USD")


def test_what_is_masked_without_a_key_equals_nothing():
    """Where nobody has the store's key, a request that holds a secret is marked as lost."""
    masks.use(None)
    assert lost_something(asked(f"https://a.example/x?token={SECRET}"))
    assert not lost_something(asked("https://a.example/x?q=1"))


def test_masking_twice_changes_nothing(keyed):
    """A mask that a replay hands out is recorded as it is."""
    url = asked(f"https://a.example/x?token={SECRET}", method="GET")["url"]
    assert url == asked(url, method="GET")["url"]


def test_a_redirect_is_masked_and_leads_to_the_same_request(keyed):
    """The address of a `location` holds no secret, and who follows it in a replay asks what was recorded."""
    target = f"https://u:pw@files.example/d/XXXXXXXXXXXXXXXXXXXXXXx1?X-Amz-Signature={SECRET}&n=1"
    told, lossy = told_response(302, [("Location", target)], b"")
    assert not lossy
    (_, _), headers, _ = (0, 0), told["headers"], None
    place = dict(headers)["location"]
    assert SECRET not in place
    assert "pw@" not in place
    assert "XXXXx1" not in place
    assert asked(target, method="GET") == asked(place, method="GET")
    assert 302 == response_of(told)[0]


def test_an_unfollowable_redirect_is_lossy():
    """Without a key a masked address leads nowhere."""
    masks.use(None)
    assert told_response(302, [("Location", f"/x?token={SECRET}")], b"")[1]
    assert not told_response(302, [("Location", "/x?n=1")], b"")[1]


def test_deep_json_is_masked_too(keyed):
    """Nesting hides nothing."""
    body = '{"a":' * 400 + f'{{"token":"{SECRET}"}}' + "}" * 400
    assert SECRET not in json.dumps(asked(body=body.encode(), content_type="application/json"))


def test_the_key_is_the_stores(tmp_path):
    """`configure` makes it once, two processes would share it, another store has another, and `shutdown` forgets it."""
    try:
        keys = []
        for name in ("a", "a", "b"):
            auditlog.configure(tmp_path / name, http="record", seal=False)
            keys.append(masks.key())
        assert keys[0] == keys[1] == masks.find_key(ensure(tmp_path / "a"))
        assert keys[0] != keys[2]
        assert 0o600 == masks.key_path(ensure(tmp_path / "a")).stat().st_mode & 0o777
    finally:
        config.use(None)
        http_calls.forget_http()
    assert masks.key() is None


def test_a_key_that_cannot_be_made_is_said_and_nothing_fails(tmp_path, caplog):
    """Recording goes on, with masks that equal nothing."""
    try:
        layout = ensure(tmp_path / "a")
        masks.key_path(layout).parent.mkdir(exist_ok=True)
        masks.key_path(layout).write_text("damaged")
        auditlog.configure(tmp_path / "a", http="record", seal=False)
        assert masks.key() is None
        assert "is damaged" in caplog.text
    finally:
        config.use(None)
        http_calls.forget_http()


def test_a_query_keeps_what_is_none(keyed):
    """Only the secret is masked."""
    query = dict(parse_qsl(urlsplit(asked(f"https://a.example/x?q=a+b&key={SECRET}")["url"]).query))
    assert "a b" == query["q"]
    assert query["key"].startswith("***:")


def test_the_key_is_listed_where_it_is(tmp_path):
    """`keys ls` names it once something was masked with it."""
    with Store.create(tmp_path / "a") as store:
        assert "masks" not in [row["key"] for row in _rows(store)]
        masks.ensure_key(store.layout)
        assert "masks" in [row["key"] for row in _rows(store)]


def test_configure_takes_record_and_nothing_else(tmp_path):
    """A word that means nothing is said at once."""
    with pytest.raises(ConfigurationError, match="http='all'"):
        auditlog.configure(tmp_path / "audit", http="all", seal=False)
    auditlog.configure(tmp_path / "audit", http="record", seal=False)
    assert http_calls.is_on()
    http_calls.forget_http()
    config.use(None)
