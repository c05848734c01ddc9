"""A comparison of recordings is kept as a run, and reads back as it was."""

from __future__ import annotations

import replay
from auditlog import layout
from auditlog.redaction import for_store
from replay.results.compare import compare_conversations


def test_a_kept_comparison_reads_back_as_it_was(script, store):
    """The report of a kept comparison has its pairs, judgements, totals and leftovers, and nothing is copied for it."""
    for task, reward in (("t1", 1.0), ("t2", 0.0), ("t3", 1.0)):
        script.turn(f"base-{task}", attributes={"auditlog.tag.arm": "base", "auditlog.tag.task_id": task},
                    evaluations=[{"name": "reward", "value": reward}])  # fmt: skip
    for task, reward in (("t1", 1.0), ("t2", 1.0)):
        script.turn(f"cand-{task}", attributes={"auditlog.tag.arm": "cand", "auditlog.tag.task_id": task}, tools=(),
                    evaluations=[{"name": "reward", "value": reward}])  # fmt: skip
    store.refresh()
    before = store.count()
    made = compare_conversations(store.conversations("tag.arm:base"), store.conversations("tag.arm:cand"))
    run_id = replay.save_comparison(store, made, baseline="tag.arm:base", candidate="tag.arm:cand")
    report = replay.load_report(store, run_id)
    assert (report.evaluations, report.totals) == (made.evaluations, made.totals)
    assert report.unpaired_baseline == ("base-t3",)
    assert [("t1", "cand-t1", "missing"), ("t2", "cand-t2", "missing")] == [
        (case.case_id, case.conversation_id, case.diff.case_class) for case in report.cases
    ]
    run = report.run
    assert (run.kind, run.status, run.cases, run.done, dict(run.classes)) == (
        "compare",
        "complete",
        2,
        2,
        {"missing": 2},
    )
    assert (run.baseline, run.candidate, run.where) == ("tag.arm:base", "tag.arm:cand", "task_id")
    assert [run_id] == [summary.run_id for summary in replay.load_runs(store)]
    assert store.count() == before


def test_what_was_compared_is_redacted_where_recordings_are(script, store):
    """A customer whom a filter names stands in the comparison's record as in the recorded conversations."""
    token = for_store(layout.find(store.path), redact=True).token("email", "anna@example.com")
    for name in ("base", "cand"):
        script.turn(name, attributes={"auditlog.tag.task_id": "t1"})
    store.refresh()
    made = compare_conversations([store.conversation("base")], [store.conversation("cand")])
    run_id = replay.save_comparison(store, made, baseline="user:anna@example.com", candidate="tag.arm:cand")
    (kept,) = [run for run in replay.load_runs(store) if run.run_id == run_id]
    assert f"user:{token}" == kept.baseline
    assert b"anna" not in b"".join(file.read_bytes() for file in (store.path / "journal").iterdir())
