"""Numbers, times and states in few cells."""

import datetime as dt

import pytest

from tui.render import formats


@pytest.mark.parametrize(
    ("milliseconds", "written"),
    [
        (None, "–"),
        (0, "0 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (99_940, "99.9 s"),
        (125_000, "2m 05s"),
        (12_000_000, "3h 20m"),
        (864_000_000, "10 d"),
    ],
)
def test_durations(milliseconds, written):
    """A duration is written in at most seven cells; what is unknown is a dash, not nought."""
    assert formats.duration(milliseconds) == written
    assert len(written) <= 7


@pytest.mark.parametrize(
    ("dollars", "written"),
    [(None, "–"), (0, "$0.00"), (0.0021, "$0.0021"), (12.4, "$12.40"), (123456.7, "$123457")],
)
def test_costs(dollars, written):
    """A price shows its digits while it is small."""
    assert formats.cost(dollars) == written


@pytest.mark.parametrize(
    ("number", "written"), [(None, "–"), (0, "0"), (9999, "9,999"), (12_400, "12.4k"), (3_100_000, "3.1M")]
)
def test_counts(number, written):
    """A count shortens from ten thousand on."""
    assert formats.count(number) == written


def test_the_gravest_state_wins_and_the_others_are_named():
    """A conversation that failed and was handed over shows the failure first and the rest beside it."""
    why = ("error", "escalated", "tool error")
    assert formats.state_of("error", why).text == "✗ error"
    assert formats.other_reasons("error", why) == "escalated, tool error"
    assert formats.state_of("ok", ("escalated",)).text == "▲ escalated"
    assert formats.state_of("ok").text == "✓ ok"


def test_every_state_has_a_glyph_and_a_word_of_its_own():
    """No two states share a glyph or a word, so that none needs its colour."""
    states = formats.STATES.values()
    assert len({state.glyph for state in states}) == len({state.word for state in states}) == len(states)


def test_sums_of_nothing_are_unknown():
    """What nobody reported stays unknown when it is added up."""
    assert formats.summed([None, None]) is None
    assert formats.summed([None, 2.0, 3.0]) == 5.0


def test_times_are_utc():
    """A point in time says its zone where it is evidence."""
    assert (
        formats.full(dt.datetime(2026, 11, 20, 8, 1, 2, 345_000, tzinfo=dt.UTC))
        == "2026-11-20 08:01:02.345 UTC"
    )
