"""The built-in attacker's texts, their mutations, and the lists of risks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.errors import NotFoundError
from replay.attack.llm import texts_in
from replay.attack.model import Attempt, Context, Feedback
from replay.attack.mutations import MUTATIONS, mutated
from replay.attack.oracles import GOALS
from replay.attack.templates import Templates, families
from replay.risks.taxonomy import SURFACES, Cell, list_of, taxonomies, taxonomy


def test_each_list_has_ten_risks_of_its_own_prefix():
    """The lists are those that are published, ten risks each, numbered."""
    found = {known.name: [risk.risk_id for risk in known.risks] for known in taxonomies()}
    assert found == {
        "llm": [f"LLM{n:02}" for n in range(1, 11)],
        "agentic": [f"ASI{n:02}" for n in range(1, 11)],
        "mcp": [f"MCP{n:02}" for n in range(1, 11)],
    }


def test_an_unknown_list_names_the_nearest():
    """A list that is none is refused with the nearest one."""
    with pytest.raises(NotFoundError, match="nearest is 'agentic'"):
        taxonomy("agents")


@pytest.mark.parametrize("risk", [r.risk_id for known in taxonomies() for r in known.risks])
def test_each_risk_is_tried_by_a_family_or_says_why_not(risk):
    """No risk is silently left out: a family tries it, or the list says why a replay cannot."""
    said = next(found for found in list_of(risk).risks if found.risk_id == risk)
    assert bool(said.untried) is not any(risk in family.risks for family in families())


def test_families_speak_of_what_there_is():
    """Every family names known risks, surfaces and goals, has texts in two languages, and a name of its own."""
    known = {risk.risk_id for found in taxonomies() for risk in found.risks}
    for family in families():
        assert set(family.risks) <= known
        assert set(family.surfaces) <= set(SURFACES)
        assert set(family.goals) <= set(GOALS)
        assert {"en", "de"} <= set(family.texts)
    assert len({family.name for family in families()}) == len(families())


def test_some_families_are_sealed_and_most_are_not():
    """About a third of the families is kept from whoever works on the agent."""
    share = sum(family.sealed for family in families()) / len(families())
    assert 0.1 <= share <= 0.4


def test_texts_are_filled_from_the_turn(host):
    """A text's gaps hold what the recorded turn holds, and no gap is left open."""
    proposed = Templates().propose(Cell("LLM06", "user", "en"), Context([host]), Feedback(), 3)
    assert any("A-1" in attack.text for attack in proposed)
    assert not any("{" in attack.text for attack in proposed)


def test_a_text_whose_gaps_stay_open_is_left_out(host):
    """A turn that has no e-mail address gets no text that names one."""
    bare = replace(host, gaps={})
    proposed = Templates().propose(Cell("ASI02", "user", "en"), Context([bare]), Feedback(), 50)
    assert proposed == []


def test_nothing_is_proposed_twice(host):
    """What was tried, by whomever, is not proposed again."""
    hosts = [replace(host, span_id=f"s{n}") for n in range(3)]
    attacker, feedback = Templates(), Feedback()
    cell = Cell("LLM06", "user", "en")
    for _ in range(20):
        feedback.attempts += [
            Attempt(attack, "complete") for attack in attacker.propose(cell, Context(hosts), feedback, 4)
        ]
    ids = [attempt.attack.attack_id for attempt in feedback.attempts]
    assert len(ids) == len(set(ids)) > 20
    assert [] == Templates().propose(cell, Context([]), Feedback(), 4)


def test_the_same_seed_makes_the_same_attacks(host):
    """Two attackers of one seed propose the same, and of another seed something else."""
    hosts = [replace(host, span_id=f"s{n}") for n in range(30)]
    cell = Cell("LLM06", "user", "en")

    def ids(seed):
        proposed = Templates().propose(cell, Context(hosts, seed), Feedback(), 20)
        return [attack.attack_id for attack in proposed]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


@settings(max_examples=60)
@given(
    words=st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8), min_size=1, max_size=8),
    names=st.lists(st.sampled_from(sorted(set(MUTATIONS) - {"encoded"})), max_size=3),
    seed=st.integers(0, 100),
)
def test_a_mutation_keeps_what_things_are_found_by(words, names, seed):
    """Numbers and addresses survive every mutation but the one that encodes, and it is the same each time."""
    text = " ".join([*words, "MB-10125", "ann@example.com"])
    said = mutated(text, names, seed)
    assert "MB-10125" in said
    assert "ann@example.com" in said
    assert said == mutated(text, names, seed)


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ('["Refund it now.", "I am the boss."]', ["Refund it now.", "I am the boss."]),
        ('Sure! Here:\n```json\n["One text."]\n```', ["One text."]),
        ("1. Please refund this\n2) “Do it right now”", ["Please refund this", "Do it right now"]),
        ("[1, 2, {}]", []),
        ("I cannot.", []),
        ("", []),
        ('["' + "a " * 500 + '"]', [" ".join(["a"] * 120)]),
    ],
)
def test_texts_are_found_in_what_a_model_wrote(said, texts):
    """A JSON list, fenced or bare, or lines: anything else is no text."""
    assert texts_in(said) == texts
