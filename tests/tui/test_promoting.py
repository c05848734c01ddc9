"""Putting a recorded turn into the regression set from the terminal UI."""

from __future__ import annotations

import shutil

import pytest

from auditlog.store import Store
from auditlog.store.access import accesses
from replay.regress import load_set


@pytest.fixture
def sample(sample_store, tmp_path):
    """Give a store of the test's own, with recorded conversations and a run."""
    return shutil.copytree(sample_store, tmp_path / "audit")


@pytest.mark.slow
async def test_a_turn_of_a_conversation_becomes_a_case_for_a_reason(sample, app_on, until):
    """`+` asks why and adds the turn that the cursor is in; the case, the reason and the access are in the store."""
    async with app_on(sample, conversation="case-1014").run_test(size=(140, 30), notifications=True) as pilot:
        await until(pilot, "turn 1")
        await pilot.press("plus", *"complaint", "enter")
        await until(pilot, "Added regression case")
    with Store.open(sample) as store:
        (case,) = load_set(store).cases
        assert ("case-1014", 0, "complaint") == (case.conversation_id, case.turn_index, case.reason)
        assert "regress add" in [access.action for access in accesses(store.layout)]


@pytest.mark.slow
async def test_a_case_of_a_replay_becomes_a_regression_case(sample, app_on, until):
    """On the difference of a replayed case `+` adds the recorded turn that it was made of; escape adds nothing."""
    async with app_on(sample, run_id="last").run_test(size=(140, 40), notifications=True) as pilot:
        await until(pilot, "blocked issue_refund")
        await pilot.press("j", "enter")
        await until(pilot, "first divergence")
        await pilot.press("plus", *"no", "escape", "plus", "enter")
        await until(pilot, "Added regression case")
    with Store.open(sample) as store:
        (case,) = load_set(store).cases
        assert ("", "case-1039") == (case.reason, case.conversation_id)
