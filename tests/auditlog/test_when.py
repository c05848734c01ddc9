"""How points in time are read."""

import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FilterError
from auditlog.when import parse_when

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-23T14:30:00+01:00"),
        ("today", "2026-11-23T00:00:00+01:00"),
        ("Yesterday", "2026-11-22T00:00:00+01:00"),
        ("2h", "2026-11-23T12:30:00+01:00"),
        ("90m", "2026-11-23T13:00:00+01:00"),
        ("90 min ago", "2026-11-23T13:00:00+01:00"),
        ("1.5h", "2026-11-23T13:00:00+01:00"),
        ("3d", "2026-11-20T14:30:00+01:00"),
        ("1w", "2026-11-16T14:30:00+01:00"),
        ("2026-11-01", "2026-11-01T00:00:00+01:00"),
        ("2026-11-01T09:30", "2026-11-01T09:30:00+01:00"),
        ("2026-11-01 09:30", "2026-11-01T09:30:00+01:00"),
        ("2026-11-01T09:30Z", "2026-11-01T09:30:00+00:00"),
    ],
)
def test_a_beginning(text, expected):
    """Each way to write a moment gives that moment, local where no zone is said."""
    assert parse_when(text, now=NOW) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yesterday", "2026-11-23T00:00:00+01:00"),
        ("today", "2026-11-23T14:30:00+01:00"),
        ("2026-11-01", "2026-11-02T00:00:00+01:00"),
        ("2h", "2026-11-23T12:30:00+01:00"),
        ("2026-11-01T09:30", "2026-11-01T09:30:00+01:00"),
    ],
)
def test_an_end_includes_its_day(text, expected):
    """As the end of a range a day means all of it."""
    assert parse_when(text, now=NOW, end=True) == datetime.fromisoformat(expected)


def test_a_day_is_the_machine_s_day(monkeypatch):
    """Without a given moment the zone of the machine counts, on days when clocks change too."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert parse_when("2026-03-29") == datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Berlin"))
        assert parse_when("2026-03-29", end=True) - parse_when("2026-03-29") == timedelta(hours=23)
        assert parse_when("2h").tzinfo is not None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["yesteday", "", "2x", "2026-13-01", "-2h", "tomorrow", "9" * 30 + "h", "\x1b[2J"]
)
def test_what_is_no_moment_is_refused(text):
    """The error names what was written, the nearest word, and the ways to write it."""
    with pytest.raises(FilterError, match="is no point in time") as caught:
        parse_when(text, now=NOW)
    assert "2026-11-22" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    if text == "yesteday":
        assert "the nearest is `yesterday`" in str(caught.value)


@given(st.text(max_size=20), st.booleans())
def test_any_text_is_a_moment_or_an_error(text, end):
    """Nothing but FilterError comes of a text, and every moment knows its zone."""
    try:
        moment = parse_when(text, now=NOW, end=end)
    except FilterError:
        return
    assert moment.astimezone(UTC) is not None
