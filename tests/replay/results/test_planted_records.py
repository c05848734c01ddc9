"""Runs, scores, verdicts and attacks are read only from what this program itself wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

import replay
from auditlog.exporters import otlp_json
from auditlog.importers import import_into
from auditlog.record import decode_record, encode_record
from auditlog.store.build import conversations_of
from replay.gate.attacks import attacks_of
from replay.gate.record import VERDICT
from replay.results.trials import case_trials
from replay.risks.tried import CAMPAIGN, CAMPAIGN_END, CELL
from replay.running.case_lists import without_cases
from replay.running.records import MANIFEST, RUN, STATUS, is_own, own_records, run_span
from replay.running.runs import load_manifest, manifests, manifests_of
from replay.scorers.judge.calibration import CALIBRATION
from replay.scorers.keeping import SCORES, load_run_scores

AGENTS = Path(__file__).parents[1] / "agents"
LINEAGE = {RUN: "r1", "auditlog.replay.arm": "candidate", "auditlog.replay.repeat": 0}
ATTACKED = {
    "id": "LLM01/user/en", "list": "llm", "edition": "2025", "entry": "LLM01", "surface": "user", "language": "en",
    "candidate_digest": "d", "tried": 9, "worked": 0, "reproduced": False, "what": "",
}  # fmt: skip


def planted(store, payloads):
    """Append records as an import from before names were reserved left them."""
    writer = store.writer()
    for payload in payloads:
        record = decode_record(payload)
        entry = {name: value for name, value in record.entry.items() if name not in ("v", "parts")}
        writer.append(encode_record({**entry, "source": "import"}, record.parts))
    writer.flush()
    writer.close()
    store.refresh()


@pytest.fixture
def ran(recorded):
    """A store with a run, and the run's id."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    return recorded, replay.run(recorded, plan).run_id


def test_no_record_of_a_run_counts_that_an_import_left(ran):
    """Neither a manifest, nor a score, a calibration, a verdict or an attack."""
    store, run_id = ran
    before = load_manifest(store, run_id)
    other = {**before, "cases": before["cases"][:1], "created": "2030-01-01T00:00:00+00:00"}
    contents = {MANIFEST: other, SCORES: {}, CALIBRATION: {}, VERDICT: {}, CELL: ATTACKED, CAMPAIGN_END: {}}
    contents[CAMPAIGN] = {"candidate_digest": "d"}
    planted(store, [run_span(name, run_id, content) for name, content in contents.items()])

    assert before == load_manifest(store, run_id)
    assert [without_cases(before)] == manifests_of(store, run_id)
    assert [without_cases(before)] == manifests(store)
    assert [] == attacks_of(store, "d")
    for name in (SCORES, CALIBRATION, VERDICT, CELL):
        assert [] == list(own_records(store, name))


def test_a_campaign_that_was_run_here_counts(ran):
    """The very records count where this program wrote them."""
    store, _ = ran
    writer = store.writer()
    for name, content in ((CAMPAIGN, {"candidate_digest": "d"}), (CELL, ATTACKED), (CAMPAIGN_END, {})):
        writer.append(run_span(name, "campaign-1", content))
    writer.close()
    store.refresh()
    assert ["LLM01/user/en"] == ["/".join(attack.cell) for attack in attacks_of(store, "d")]


def test_a_run_that_was_exported_and_imported_again_is_no_run(ran, tmp_path):
    """An export of a whole run, signed or not, brings no second manifest and no executions."""
    store, run_id = ran
    before = list(case_trials(store, load_manifest(store, run_id)))
    spans = list(store.spans("replay_run_id = ?", [run_id]))
    path = tmp_path / "run.jsonl"
    path.write_bytes(
        b"".join(otlp_json.lines(conversations_of(spans).values())).replace(b'"spanId":"0', b'"spanId":"1')
    )
    import_into(store, path)
    assert before == list(case_trials(store, load_manifest(store, run_id)))
    assert 1 == len(manifests(store))


@pytest.mark.parametrize("agent", ["scores_itself", "runs_elsewhere"])
def test_an_agent_cannot_write_records_of_the_run_that_it_runs_in(recorded, agent):
    """What a worker sends beside its execution is refused, with all that came with it."""
    plan = replay.plan(recorded, f"planting_agents:{agent}", path=AGENTS, workers=1)
    run_id = replay.run(recorded, plan).run_id
    manifest = load_manifest(recorded, run_id)
    for tried in case_trials(recorded, manifest):
        assert {"errored"} == {trial.status for trial in tried.trials}
        assert "said something else than its result" in tried.trials[0].why
    assert not load_run_scores(recorded, run_id).scores


@pytest.mark.parametrize(
    ("entry", "attributes", "expected"),
    [
        ({"type": "span", "kind": "tool", "name": "replay_order"}, LINEAGE, True),
        ({"type": "start", "kind": "other", "name": "x"}, {**LINEAGE, "auditlog.replay.match_tier": "exact"}, True),
        ({"type": "span", "kind": "other", "name": "replay_scores"}, LINEAGE, False),
        ({"type": "end", "kind": "tool", "name": "x"}, LINEAGE, False),
        ({"type": "gap", "kind": "tool", "name": "x"}, LINEAGE, False),
        ({"type": "span", "kind": "tool", "name": "x"}, {**LINEAGE, RUN: "r2"}, False),
        ({"type": "span", "kind": "tool", "name": "x"}, {RUN: "r1"}, False),
        ({"type": "span", "kind": "agent", "name": "x"}, {**LINEAGE, STATUS: "complete"}, False),
    ],
)  # fmt: skip
def test_a_record_is_an_executions_own_by_its_lineage_and_kind(entry, attributes, expected):
    """A record of another run, case or kind is none of it."""
    import orjson

    record = decode_record(encode_record(entry, {"attributes": orjson.dumps(attributes)}))
    assert expected is is_own(record, LINEAGE)
