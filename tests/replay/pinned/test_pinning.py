"""Seeds, draws and recorded values, without a worker."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from dataclasses import asdict
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog import clock
from auditlog.context import Frame
from auditlog.pinned import ATTRIBUTE
from auditlog.values import Span, Turn
from replay.errors import RunError
from replay.matching.callers import Callers
from replay.pinned import clocks, seeds
from replay.pinned.pinning import PINNED, Pinning, check, draw_of, pinning_from_json, seed_number
from replay.pinned.recorded_values import RecordedValues, values_of


@pytest.mark.parametrize(
    ("kind", "arm", "repeat", "expected"),
    [
        ("replay", "baseline", 0, "0"),
        ("replay", "candidate", 0, "0"),
        ("replay", "baseline_2", 0, "0+"),
        ("replay", "candidate", 2, "2"),
        ("control", "candidate", 1, "1+"),
        ("control", "baseline", 1, "1"),
    ],
)
def test_arms_share_a_draw_but_for_those_that_show_the_noise(kind, arm, repeat, expected):
    """The same repeat of both arms is one draw; the second baseline's, and a control's second arm's, is another."""
    assert expected == draw_of(kind, arm, repeat)


def test_a_seed_differs_by_run_seed_turn_and_draw():
    """Each of the three makes another number, and the same three make the same."""
    numbers = {
        seed_number(*of) for of in (("0", "a", "0"), ("1", "a", "0"), ("0", "b", "0"), ("0", "a", "0+"))
    }
    assert 4 == len(numbers)
    assert seed_number("0", "a", "0") in numbers


def test_pinning_is_read_back_from_a_manifest_whoever_wrote_it():
    """What this version writes comes back; what it does not know is left out."""
    pinning = Pinning("x", freeze_time=True, candidate_reads=("clock a.py:1 time.time",))
    written = {**asdict(pinning), "from_tomorrow": 1, "candidate_reads": list(pinning.candidate_reads)}
    assert pinning == pinning_from_json(written)
    assert PINNED == pinning_from_json({})


def test_to_freeze_time_without_what_freezes_it_is_said(monkeypatch):
    """The sentence names the package."""
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(RunError, match="time-machine"):
        check(Pinning(freeze_time=True))


@pytest.fixture
def seeding():
    """Seed a case, and take it back."""
    before = uuid.uuid4, uuid.uuid1
    seeds.install()
    yield
    seeds.end()
    uuid.uuid4, uuid.uuid1 = before
    random.seed()


def drawn():
    """Draw one of each."""
    numpy = sys.modules.get("numpy")
    return random.random(), uuid.uuid4(), uuid.uuid1(), None if numpy is None else numpy.random.random()


def test_a_seeded_case_draws_the_same_again_and_an_id_more_shifts_no_number(seeding):
    """`random`, numpy and `uuid` repeat; ids come from a generator of their own."""
    import numpy as np  # noqa: F401 - seeded when it is loaded

    seeds.begin(7)
    first = drawn()
    seeds.begin(7)
    assert first == drawn()
    seeds.begin(7)
    uuid.uuid4()
    assert first[0] == random.random()
    assert (4, 1) == (first[1].version, first[2].version)
    seeds.begin(8)
    assert first != drawn()


def test_numpy_that_a_case_is_the_first_to_import_is_seeded():
    """A worker's first case draws what its second would."""
    script = (
        "from replay.pinned import seeds; seeds.install(); seeds.begin(7); import numpy; first = numpy.random.random();"
        "seeds.begin(7); print(first == numpy.random.random())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "True" == done.stdout.strip()


def test_where_writes_are_live_ids_stay_random(seeding):
    """An id that came again would be taken for the same order."""
    seeds.begin(7, ids=False)
    first = uuid.uuid4()
    seeds.begin(7, ids=False)
    assert first != uuid.uuid4()


def test_clocks_go_on_from_the_moment_and_ours_stays():
    """The agent's clocks say the moment, and `clock.time_ns` the machine's time; afterwards all say that."""
    pytest.importorskip("time_machine")
    before = time.time()
    clocks.begin(1_700_000_000_000_000_000)
    try:
        assert 0 <= time.time() - 1_700_000_000 < 60
        assert 2023 == datetime.now().year  # noqa: DTZ005 - what an agent writes
        assert abs(clock.time_ns() / 1e9 - before) < 60
    finally:
        clocks.end()
    assert abs(time.time() - before) < 60
    assert clock.time_ns is time.time_ns


def span(number, parent, name, arguments, **values):
    """Make a recorded agent's span."""
    attributes = {ATTRIBUTE: values} if values else {}
    return Span(
        trace_id="t",
        span_id=str(number),
        parent_span_id=parent,
        kind="agent",
        name=name,
        start_ns=number,
        input=arguments,
        attributes=attributes,
    )


def test_a_turn_that_asked_for_nothing_sends_nothing():
    """Nearly all turns: their jobs are no longer for it."""
    agent = span(1, None, "bot", {})
    assert [] == values_of(Turn(agent, (agent,), 0))


@given(st.permutations(range(4)))
def test_branches_get_their_own_values_in_whatever_order_they_begin(order):
    """Branches are told apart by name and arguments, and equal ones by their ordinal; never by time."""
    agent = span(1, None, "bot", {}, now=["bot"])
    inputs = [("sub", "a"), ("sub", "b"), ("other", "a"), ("sub", "b")]
    subs = [span(2 + n, "1", name, {"x": x}, now=[f"{n}"]) for n, (name, x) in enumerate(inputs)]
    values = RecordedValues(values_of(Turn(agent, (agent, *subs), 0)))
    callers = values.callers = Callers()
    callers.begin("root", None, "agent", "bot", {})
    given_out = {}
    for n in order:
        name, x = inputs[n]
        callers.begin(f"live{n}", "root", "agent", name, {"x": x})
        frame = Frame()
        frame.span_id = f"live{n}"
        given_out.setdefault((name, x), []).append(values.give(frame, "now", 0))
    assert {("sub", "a"): ["0"], ("other", "a"): ["2"], ("sub", "b"): ["1", "3"]} == given_out
    assert not values.fresh


def test_what_the_recording_does_not_have_is_counted():
    """A counter beyond what was recorded, a span that was not there, and an asking outside of the case."""
    agent = span(1, None, "bot", {}, now=["2026-01-01T00:00:00+00:00"])
    values = RecordedValues(values_of(Turn(agent, (agent,), 0)))
    values.callers.begin("root", None, "agent", "bot", {})
    values.callers.begin("new", "root", "agent", "sub", {})
    root, new = Frame(), Frame()
    root.span_id, new.span_id = "root", "new"
    assert "2026-01-01T00:00:00+00:00" == values.give(root, "now", 0)
    assert (None, None, None) == (
        values.give(root, "now", 1),
        values.give(new, "uuid4", 0),
        values.give(None, "rng", 0),
    )
    assert {"now": 1, "uuid4": 1, "outside": 1} == dict(values.fresh)
