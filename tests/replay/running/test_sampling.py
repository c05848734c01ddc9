"""Which turns are drawn, and what each of them stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditlog.keeping.holds as holding
from replay.errors import RunError
from replay.running.cases import Case, cases_digest, freeze, select
from replay.running.sampling import EVERY_TURN, Sampling, allocate, draw, refuse_nonsense, sampling_from_json

SIZES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(1, 2_000), min_size=1, max_size=12
)


@pytest.fixture
def traffic(script, store):
    """Record 200 turns: 20 refunds with a write, 60 in German, one that failed and one that escalated."""
    for number in range(200):
        language = "de" if number % 10 < 3 else "en"
        effect = "write" if number % 10 == 9 else "read"
        script.turn(
            f"case-{number}",
            attributes={
                "auditlog.tag.language": language,
                "auditlog.tool.effect": effect,
                "shop.region": f"r{number % 2}",
            },
            status="error" if number == 40 else "ok",
            cost=0.01 if number % 2 else 0.03,
        )
    store.refresh()
    return store


def drawn(store, size=None, strata=()):
    """Draw from all turns of the store."""
    return draw(store, select(store, "support-bot").turns, Sampling(size, strata))


@given(SIZES, st.integers(0, 5_000))
def test_each_stratum_gets_its_least_and_then_its_share(sizes, wanted):
    """As many as asked for are given, no stratum more than it has, and those above the least in proportion."""
    taken = allocate(sizes, wanted)
    assert min(wanted, sum(sizes.values())) == sum(taken.values())
    assert all(0 <= taken[name] <= sizes[name] for name in sizes)
    if wanted >= sum(min(30, size) for size in sizes.values()):
        assert all(taken[name] >= min(30, sizes[name]) for name in sizes)
    shares = [taken[name] / sizes[name] for name in sizes if 31 < taken[name] < sizes[name]]
    if shares and wanted < sum(sizes.values()):
        smallest = min(sizes[name] for name in sizes if 31 < taken[name] < sizes[name])
        assert max(shares) - min(shares) <= 2 / smallest


@given(SIZES, st.integers(0, 3_000), st.integers(0, 300))
def test_who_gets_more_cases_gets_fewer_of_no_stratum(sizes, wanted, more):
    """A larger sample holds at least as many of each stratum."""
    fewer, larger = allocate(sizes, wanted), allocate(sizes, wanted + more)
    assert all(fewer[name] <= larger[name] for name in sizes)


def test_a_sample_is_nested_and_does_not_depend_on_order(traffic):
    """The same turns in any order give the same cases, and a larger sample holds the smaller one."""
    turns = select(traffic, "support-bot").turns
    small, same, large = (
        {turn["span_id"] for turn in draw(traffic, given, Sampling(size, ("tag.language",))).turns}
        for given, size in ((turns, 70), (turns[::-1], 70), (turns, 110))
    )
    assert small == same
    assert (70, 110) == (len(small), len(large))
    assert small < large


def test_traffic_of_another_stratum_changes_nothing_about_which_turns_come_first(traffic, script):
    """Where Italian turns are recorded too, the German cases are still the first of the same order."""
    before = [t["span_id"] for t in drawn(traffic, 80, ("tag.language",)).turns if "de" in t["stratum"]]
    for number in range(100):
        script.turn(f"ciao-{number}", attributes={"auditlog.tag.language": "it"})
    traffic.refresh()
    after = [t["span_id"] for t in drawn(traffic, 110, ("tag.language",)).turns if "de" in t["stratum"]]
    assert set(after) <= set(before) or set(before) <= set(after)
    assert len(after) >= 30


def test_weights_add_up_to_the_traffic(traffic):
    """Each case stands for as many turns as its stratum has for each that was drawn; together they are all turns."""
    found = drawn(traffic, 80, ("tag.language", "had_write"))
    assert 80 == len(found.turns)
    assert sum(turn["weight"] for turn in found.turns) == pytest.approx(200)
    assert {
        "tag.language=de, had_write=no",
        "tag.language=en, had_write=no",
        "tag.language=en, had_write=yes",
    } == {turn["stratum"] for turn in found.turns}
    writes = [turn["weight"] for turn in found.turns if "had_write=yes" in turn["stratum"]]
    # All 20 of the stratum, since it has fewer than 30.
    assert [1.0] * 20 == writes


def test_what_stands_out_is_always_in_it(traffic):
    """A turn that failed and the turns of a held conversation are cases of any sample, and stand for themselves."""
    holding.place(traffic, conversation="case-77", where=None, reason="a complaint")
    found = drawn(traffic, 10)
    always = {turn["conversation_id"]: turn["weight"] for turn in found.turns if turn["weight"] == 1}
    assert {"case-40", "case-77"} <= set(always)
    assert 10 == len(found.turns)


def test_an_escalated_turn_is_always_in_it(script, store):
    """A turn in which the agent handed over is in a sample of one."""
    for number in range(40):
        script.turn(f"case-{number}")
    script.turn("angry", attributes={"auditlog.escalation.reason": "legal threat"})
    store.refresh()
    (only,) = drawn(store, 1).turns
    assert "angry" == only["conversation_id"]


def test_a_sample_too_small_for_its_strata_says_so(traffic):
    """Forty cases of three strata give none of them thirty, and the size that would is named."""
    (note,) = drawn(traffic, 40, ("tag.language", "had_write")).notes
    assert "3 of 3 strata have fewer than 30 cases; a sample of 81 gives each 30" in note
    (note,) = drawn(traffic, 3, ("tag.language", "had_write")).notes
    assert "3 of 3 strata have fewer than 30 cases, 1 of them none at all; a sample" in note


def test_more_that_stand_out_than_were_asked_for_says_so(script, store):
    """Where more turns failed than the sample has cases, all of them are in it, and a note says so."""
    for number in range(5):
        script.turn(f"case-{number}", status="error")
    store.refresh()
    found = drawn(store, 2)
    assert 5 == len(found.turns)
    assert "5 turns escalated, failed or are held, and are always replayed" in found.notes[0]


def test_without_a_sample_every_turn_is_a_case(traffic):
    """Nothing asked for, nothing grouped; strata alone name groups and weigh nothing."""
    everything = drawn(traffic)
    assert 200 == len(everything.turns) == everything.sampling.turns
    assert {"", 1.0} == {
        value for case in freeze(everything.turns, "c", 0.2) for value in (case.stratum, case.weight)
    }
    grouped = freeze(drawn(traffic, None, ("tag.language",)).turns, "c", 0.2)
    assert {("tag.language=de", 1.0), ("tag.language=en", 1.0)} == {(c.stratum, c.weight) for c in grouped}


def test_costs_are_those_of_the_cases(traffic):
    """What a case cost when it was recorded is averaged over those that were drawn."""
    assert 0.02 == pytest.approx(drawn(traffic).sampling.cost_usd)
    assert 0.01 <= drawn(traffic, 50).sampling.cost_usd <= 0.03


def test_turns_can_be_grouped_by_what_was_recorded_of_them(traffic):
    """Attributes, models and versions make strata as tags do; a turn without one is in a stratum of its own."""
    found = drawn(traffic, 100, ("attribute.shop.region", "agent_version", "model"))
    assert {
        f"attribute.shop.region={region}, agent_version=v1, model=gpt-test" for region in ("r0", "r1")
    } == {turn["stratum"] for turn in found.turns}


def test_keys_that_no_turn_has_are_left_out_or_refused(traffic):
    """Of the usual keys only those that are recorded count; a key that somebody named must be there."""
    assert {"tag.language", "had_write"} == {
        part.partition("=")[0] for turn in drawn(traffic, 50).turns for part in turn["stratum"].split(", ")
    }
    with pytest.raises(RunError, match="None of the chosen turns has tag.langage"):
        drawn(traffic, 50, ("tag.langage",))


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        (Sampling(0), "at least one case, and not 0"),
        (Sampling(9, ("had_writes",)), "The nearest is 'had_write'."),
        (Sampling(9, ("tag.",)), "cannot be grouped by 'tag.'"),
    ],
)
def test_a_sample_without_meaning_is_refused(sampling, says):
    """A size below one, and a key of no known kind, are said before anything runs."""
    with pytest.raises(RunError) as raised:
        refuse_nonsense(sampling)
    assert says in str(raised.value)


def test_a_manifest_keeps_the_sample_and_older_ones_are_read():
    """What was drawn is read back; a manifest of before there were samples is of every turn, with weights of 1."""
    kept = Sampling(5, ("tag.a",), 80, 0.01)
    assert kept == sampling_from_json({"size": 5, "strata": ["tag.a"], "turns": 80, "cost_usd": 0.01})
    assert EVERY_TURN == sampling_from_json(None)
    old = ["id", "c", "t", "s", 0, True]
    assert Case("id", "c", "t", "s", 0, True, "", 1.0) == Case(*old)


def test_the_digest_of_the_case_list_covers_what_each_case_stands_for():
    """Without strata it is the digest that it always was; another weight or stratum makes another."""
    old, same = ["id", "c", "t", "s", 0, True], ["id", "c", "t", "s", 0, True, "", 1.0]
    assert cases_digest([old]) == cases_digest([same])
    weighed = [["id", "c", "t", "s", 0, True, stratum, weight] for stratum, weight in (("", 2.0), ("a", 1.0))]
    assert 3 == len({cases_digest([line]) for line in (same, *weighed)})
