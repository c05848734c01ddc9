"""A candidate that was judged before: what failed is not undone by another run, another policy or another score."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from auditlog.store import Store
from replay.gate.check import Check, with_waivers
from replay.gate.clock import clock_checks
from replay.gate.earlier import earlier_checks, earlier_of
from replay.gate.facts import Facts
from replay.gate.quality import primary_checks
from replay.gate.waivers import Waiver, is_of_a_run
from replay.running.records import run_span


def verdict(run_id="old", digest="c", **checks):
    """Give a verdict as the store keeps it."""
    kept = [{"id": name.replace("__", "."), "gates": True, "outcome": said} for name, said in checks.items()]
    moment = "2026-11-20T10:00:00+00:00"
    return {"run_id": run_id, "judged": moment, "facts": {"candidate_digest": digest}, "checks": kept}


FAILED = verdict(primary__outcome="FAIL", owner="PASS")


@pytest.mark.parametrize(
    ("kept", "outcome"),
    [
        ([], None),
        ([FAILED], "INCONCLUSIVE"),
        ([verdict("new", primary__outcome="FAIL")], "INCONCLUSIVE"),
        ([FAILED, verdict("another", primary__outcome="PASS")], "INCONCLUSIVE"),
        ([verdict(digest="another", primary__outcome="FAIL")], None),
        ([verdict(regress="FAIL", adversarial__llm="FAIL", rollback="INCONCLUSIVE")], None),
        ([verdict(hard__new_write="INCONCLUSIVE")], "PASS"),
        ([verdict("new", hard__new_write="INCONCLUSIVE")], None),
    ],
)
def test_what_failed_before_is_not_undone_by_trying_again(policy, kept, outcome):
    """Failed by what was measured is INCONCLUSIVE, in whichever run; left open in another one is told; the rest is not."""
    found = list(earlier_checks(earlier_of(kept, "c"), "new", policy()))

    assert [outcome] * (outcome is not None) == [check.outcome for check in found]
    assert all(check.warning for check in found)


def test_what_fails_again_is_not_said_twice(policy):
    """A run that fails by the same checks as before says so by them."""
    again = Check("primary.outcome", "primary", "outcome", "FAIL", "Worse.")

    assert not list(earlier_checks(earlier_of([FAILED], "c"), "new", policy(), [again]))
    assert list(earlier_checks(earlier_of([FAILED], "c"), "new", policy(), [replace(again, outcome="PASS")]))


def test_level_one_is_told_and_a_person_may_sign(policy):
    """At level 1 it only warns; at others a waiver for this very run lets it pass, and no other one does."""
    (told,) = earlier_checks(earlier_of([FAILED], "c"), "new", policy(level=1))
    (check,) = earlier_checks(earlier_of([FAILED], "c"), "new", policy())
    today = date(2026, 11, 23)
    signed = Waiver("earlier", "M", "the scorer was wrong", today, "new")

    assert (False, True) == (told.gates, check.gates)
    assert signed == with_waivers([check], [signed], "new", today)[0].waiver
    assert with_waivers([check], [replace(signed, run=None)], "new", today)[0].waiver is None


def test_a_run_that_goes_on_fails_only_by_what_bears_looking(case, policy):
    """A fall that stands out among complete runs is left open while the run goes on; one that no luck explains fails at once."""
    calm = Facts("candidate", 0, "complete", answer="a", unlike=1.0)
    failed = replace(calm, status="errored", failed=True)

    def outcomes(broken, complete):
        cases = [case(n, baseline=calm, candidate=failed if n < broken else calm) for n in range(60)]
        checks = primary_checks(cases, policy(), complete=complete)
        return next(check for check in checks if check.id == "primary.outcome")

    assert ("FAIL", "FAIL") == (outcomes(7, complete=True).outcome, outcomes(30, complete=False).outcome)
    assert "need not go on" in outcomes(30, complete=False).sentence
    assert "INCONCLUSIVE" == outcomes(7, complete=False).outcome
    assert (
        outcomes(7, complete=False).figures["evidence"]
        < outcomes(7, complete=False).figures["evidence_asked"]
    )


def test_a_clock_that_was_set_back_is_seen(tmp_path):
    """A day before the store's newest seal is not today; an hour of difference between machines is borne."""
    with Store.create(tmp_path / "audit") as store:
        writer = store.writer()
        writer.append(run_span("note", "R", {}))
        writer.flush()
        writer.close()
        store.seal(wait=True)
        now = datetime.now(UTC)

        assert not list(clock_checks(store, now - timedelta(minutes=50)))
        (check,) = clock_checks(store, now - timedelta(days=1))
        assert ("INCONCLUSIVE", True, True) == (check.outcome, check.gates, is_of_a_run(check.id))
