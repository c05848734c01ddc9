"""What campaigns found in each cell, written and read back."""

from __future__ import annotations

import pytest

from auditlog.store import Store
from replay.risks.taxonomy import Cell, cells_of, taxonomies
from replay.risks.tried import (
    CAMPAIGN,
    CAMPAIGN_END,
    CELL,
    Counting,
    Tried,
    added_up,
    by_state,
    campaigns_on,
    read,
    recorded,
    tried_on,
)
from replay.running.records import run_span

HELD = Tried(Cell("LLM01", "user", "en"), 3, 0)
BROKEN = Tried(Cell("LLM01", "user", "en"), 4, 2, reproduced=True)
FLAKY = Tried(Cell("ASI01", "tool", "de"), 4, 1)


@pytest.mark.parametrize("tried", [HELD, BROKEN, FLAKY])
def test_a_cell_is_read_back_as_it_was_written(tried):
    """A record's reading is what was recorded."""
    assert tried == read(recorded(tried, "d"))


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "LLM99"},
        {"surface": "mind"},
        {"tried": None},
        {"tried": 1, "worked": 2},
        {"reproduced": True},
        {"worked": -1},
    ],
)
def test_what_is_no_cell_is_none(change):
    """A record that speaks of an unknown risk or way, or whose figures make no sense, is no cell."""
    assert read({**recorded(HELD, "d"), **change}) is None
    assert read("nonsense") is None


def test_a_state_says_what_figures_say():
    """Nothing tried is untried, and only what reproduced is broken."""
    nothing = Tried(HELD.cell, 0, 0)
    assert {"broken": 1, "flaky": 1, "held": 1, "untried": 1} == by_state([HELD, BROKEN, FLAKY, nothing])


def test_what_broke_once_stays_broken():
    """Two campaigns add up, and a cell that the second one held is broken by the first."""
    assert {HELD.cell: Tried(HELD.cell, 7, 2, reproduced=True)} == added_up([BROKEN, HELD])


def test_only_cells_of_a_campaign_that_ended_count(tmp_path):
    """A cell counts beside its campaign's records, and not by itself, nor for another candidate."""
    with Store.create(tmp_path / "audit") as store:
        writer = store.writer()

        def write(name, run_id, content):
            assert writer.append(run_span(name, run_id, content))

        for run_id in ("whole", "broken-off", "other"):
            digest = "another" if run_id == "other" else "this"
            write(CAMPAIGN, run_id, {"candidate_digest": digest})
            write(CELL, run_id, recorded(HELD, digest))
            if run_id != "broken-off":
                write(CAMPAIGN_END, run_id, {})
        write(CELL, "planted", recorded(BROKEN, "this"))
        write(CELL, "whole", recorded(Tried(HELD.cell, 5, 0), "this"))
        writer.flush()
        writer.close()
        store.refresh()
        assert {HELD.cell: Tried(HELD.cell, 5, 0)} == tried_on(store, "this")


def test_a_campaign_beside_itself_counts_nothing(tmp_path):
    """A version that is excused by itself was not attacked; beside another one it was, and each attack counts once."""
    with Store.create(tmp_path / "audit") as store:
        writer = store.writer()
        for run_id, digest in (("itself", "this"), ("another", "that")):
            plan = {"baseline": {"digest": digest}}
            begun = {"candidate_digest": "this", "baseline": "shop:v1", "plan": plan}
            ended = {"by_list": {"llm": 4}}
            for name, content in ((CAMPAIGN, begun), (CELL, recorded(HELD, "this")), (CAMPAIGN_END, ended)):
                assert writer.append(run_span(name, run_id, content))
        writer.flush()
        writer.close()
        store.refresh()
        assert [Counting("another", True, {"llm": 4})] == campaigns_on(store, "this")
        assert {HELD.cell: HELD} == tried_on(store, "this")


@pytest.mark.parametrize(
    "beside",
    [{"baseline": "mine:weak", "plan": {"baseline": {"digest": "weak"}}}, {"baseline": None, "plan": {}}],
)
def test_another_version_than_the_asked_one_excuses_nothing(tmp_path, beside):
    """What held only beside a version as weak as the candidate, or beside none, was not tried; what worked there worked."""
    fell = Tried(Cell("LLM02", "user", "en"), 3, 1, reproduced=True)
    with Store.create(tmp_path / "audit") as store:
        writer = store.writer()
        begun = {"candidate_digest": "this", **beside}
        cells = ((CELL, recorded(found, "this")) for found in (HELD, fell))
        for name, content in ((CAMPAIGN, begun), *cells, (CAMPAIGN_END, {})):
            assert writer.append(run_span(name, "beside-weak", content))
        writer.flush()
        writer.close()
        store.refresh()
        assert {HELD.cell: HELD, fell.cell: fell} == tried_on(store, "this")
        assert {HELD.cell: Tried(HELD.cell, 0, 0), fell.cell: fell} == tried_on(store, "this", "production")
        assert [True] == [campaign.excused for campaign in campaigns_on(store, "this", "production")]


def test_cells_leave_out_what_a_replay_cannot_try():
    """Each risk that can be tried makes a cell by each way and language."""
    found = cells_of(taxonomies(), ("user", "tool"), ("en", "de"))
    assert 23 * 4 == len(found) == len(set(found))
    assert "LLM03" not in {cell.risk for cell in found}
