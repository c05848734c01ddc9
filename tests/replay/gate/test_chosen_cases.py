"""Which cases a run was made of, and whether its baseline was compared with anything: said in every output."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.canonical import digest_of
from replay.gate.integrity import run_checks
from replay.gate.outputs.html import html
from replay.gate.outputs.json import json
from replay.gate.outputs.markdown import markdown
from replay.gate.record import document


def checked(cases, policy, name, **more):
    """Give one check of a run of these cases."""
    ids = [case.case_id for case in cases]
    manifest = {"run_id": "R", "baseline": {"path": "shop:v1"}, "cases": [[one] for one in ids], **more}
    manifest["cases_digest"] = digest_of(ids)
    return next(check for check in run_checks(manifest, "complete", cases, policy) if check.id == name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"where": "conversation:case-1"}, "--where conversation:case-1"),
        ({"since": "2026-11-01T00:00:00+00:00"}, "--since 2026-11-01T00:00:00+00:00"),
        ({"limit": 3}, "--limit 3"),
    ],
)
def test_a_run_says_how_its_cases_were_chosen(case, policy, more, said):
    """Any filter is a warning with its words; none is said, too."""
    check = checked([case(n) for n in range(3)], policy(), "run.sample", **more)

    assert ("PASS", bool(said), 3) == (check.outcome, check.warning, check.figures["cases"])
    assert (said or "none was picked by a filter") in check.sentence
    assert more.get("where", "") == check.figures["where"]


def test_every_output_says_how_the_cases_were_chosen(hostile_verdict):
    """The record, JSON, Markdown and HTML."""
    words = "--where conversation:case-1"
    verdict = replace(hostile_verdict, facts={"chosen_by": words, "where": "conversation:case-1"})

    assert words == document(verdict)["facts"]["chosen_by"]
    assert all(words in write(verdict) for write in (json, markdown, html))


@pytest.mark.parametrize(("level", "outcome"), [(1, "PASS"), (2, "INCONCLUSIVE")])
def test_a_baseline_that_was_compared_with_nothing_is_not_called_faithful(case, policy, level, outcome):
    """One baseline run a case says nothing of how faithful it is; two do."""
    once, twice = ([case(n, twice=more) for n in range(40)] for more in (False, True))
    alone = checked(once, policy(level=level), "run.fidelity")

    assert (outcome, True) == (alone.outcome, "in no case could what it calls be compared" in alone.sentence)
    assert "PASS" == checked(twice, policy(level=level), "run.fidelity").outcome
