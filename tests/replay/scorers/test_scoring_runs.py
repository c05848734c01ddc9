"""Scoring a run: what scorers may do, what is kept, and what is not asked again."""

import contextlib
from pathlib import Path

import pytest

from auditlog.errors import NotFoundError
from auditlog.store import Store
from replay.errors import ScorerError
from replay.results.trials import case_trials
from replay.running.runs import load_manifest
from replay.scorers import Score, scorer
from replay.scorers.keeping import SCORES, load_run_scores, load_scores
from replay.scorers.scoring import score_run
from replay.scorers.specs import ScorerSpec, parse

OURS = ("no_forbidden_write", "no_new_write", "completed", "escalation_kept")


def tally_of(report, name):
    """Give what became of one scorer."""
    return next(tally for tally in report.scorers if name in (tally.spec.target, tally.spec.name))


def records(store):
    """Count the records of scores."""
    return sum(1 for _ in store.spans("kind = 'other' AND name = ?", [SCORES]))


def test_a_run_is_scored_and_the_scores_are_kept(run_store):
    """Every finished execution of every arm is scored; the candidate's forbidden write is found, with its span."""
    report = score_run(run_store, "last", OURS, workers=1)
    manifest = load_manifest(run_store, "last")
    cells = {
        (tried.case.case_id, trial.arm, trial.repeat)
        for tried in case_trials(run_store, manifest)
        for trial in tried.trials
    }
    assert len(cells) == 18
    found = load_scores(run_store, report.run_id)
    assert dict.fromkeys(OURS, cells) == {key.scorer: set(scores) for key, scores in found.items()}
    writes = next(scores for key, scores in found.items() if key.scorer == "no_forbidden_write")
    bad = {cell: score for cell, score in writes.items() if score.value == 0}
    assert ["candidate"] == [arm for _, arm, _ in bad]
    (score,) = bad.values()
    span = next(iter(run_store.spans("span_id = ?", [score.evidence[0]])))
    assert ("tool", "refund") == (span.kind, span.name)
    assert "forbidden write" in score.label


def test_what_is_scored_is_not_asked_again_and_again_appends(run_store):
    """Scoring twice asks nothing anew; `again` appends, and what is read stays the same."""
    score_run(run_store, "last", OURS, workers=1)
    first, kept = records(run_store), load_run_scores(run_store, load_manifest(run_store, "last")["run_id"])
    report = score_run(run_store, "last", OURS, workers=1)
    assert first == records(run_store)
    assert [(0, 18)] * len(OURS) == [(tally.scored + tally.unscored, tally.kept) for tally in report.scorers]
    score_run(run_store, "last", OURS, workers=1, again=True)
    assert 2 * first == records(run_store)
    assert kept == load_run_scores(run_store, report.run_id)


@pytest.mark.slow
def test_the_order_of_scorers_and_the_number_of_workers_do_not_matter(run_store):
    """Scores depend on the execution alone."""
    one = score_run(run_store, "last", OURS, workers=1)
    found = load_scores(run_store, one.run_id)
    score_run(run_store, "last", tuple(reversed(OURS)), workers=2, again=True)
    assert found == load_scores(run_store, one.run_id)


@pytest.mark.slow
def test_a_scorer_that_raises_hangs_or_dies_costs_its_own_case_only(run_store, plugins):
    """The case is unscored, never 0; the others of the scorer, and the other scorers, are scored."""
    names = ("raises", "hangs", "dies")
    specs = [f"odd_scorers:{name}" for name in names]
    report = score_run(run_store, "last", [*specs, "completed"], path=plugins, workers=1, deadline=4)
    failed = {name: tally_of(report, f"odd_scorers:{name}") for name in names}
    assert {"raises": 9, "hangs": 3, "dies": 3} == {name: tally.failed for name, tally in failed.items()}
    assert "raised ValueError" in failed["raises"].first_failure
    assert "was not done after 4 s" in failed["hangs"].first_failure
    assert "took its process down (exit code -11)" in failed["dies"].first_failure
    assert all(tally.scored + tally.failed == 18 for tally in failed.values())
    assert 0 == tally_of(report, "completed").failed
    values = [s.value for cells in load_scores(run_store, report.run_id).values() for s in cells.values()]
    assert 15 == values.count(None)
    # What failed is asked again; what did not, is not.
    second = score_run(run_store, "last", ["odd_scorers:raises"], path=plugins, workers=1)
    assert (9, 9) == (
        tally_of(second, "odd_scorers:raises").failed,
        tally_of(second, "odd_scorers:raises").kept,
    )


@pytest.mark.slow
def test_a_scorer_touches_nothing(run_store, plugins, monkeypatch):
    """Network, files, programs, tools and the environment are closed to a scorer, and a refusal that it swallows counts."""
    monkeypatch.setenv("SECRET_FOR_NOBODY", "1")
    monkeypatch.syspath_prepend(str(plugins.parents[1] / "agents"))
    names = ("calls_home", "writes", "runs_a_program", "calls_a_tool")
    specs = [f"odd_scorers:{name}" for name in (*names, "sees_secrets")]
    monkeypatch.setenv("PYTHONPATH", str(plugins.parents[1] / "agents"))
    report = score_run(run_store, "last", specs, path=plugins, workers=1)
    for name in names:
        tally = tally_of(report, f"odd_scorers:{name}")
        assert (0, 18) == (tally.scored, tally.failed), name
    assert "127.0.0.1:9, which it may not" in tally_of(report, "odd_scorers:calls_home").first_failure
    assert "write the file" in tally_of(report, "odd_scorers:writes").first_failure
    assert not plugins.joinpath("written-by-a-scorer").exists()
    secrets = tally_of(report, "odd_scorers:sees_secrets")
    assert (18, 0) == (secrets.scored, secrets.below)


@pytest.mark.slow
def test_a_scorer_that_does_not_load_is_named_and_the_others_go_on(run_store, plugins):
    """A module that is missing or broken, an attribute that is no scorer, an option that is none: each says so."""
    wanted = [
        ScorerSpec("nowhere:mine"),
        ScorerSpec("broken_scorers:mine"),
        ScorerSpec("odd_scorers:politee"),
        ScorerSpec("odd_scorers:no_scorer"),
        ScorerSpec("odd_scorers:polite", {"louder": True}),
        ScorerSpec("completd"),
        ScorerSpec("call_rate"),
        ScorerSpec("completed"),
    ]
    report = score_run(run_store, "last", wanted, path=plugins, workers=1)
    said = {str(tally.spec): tally.error for tally in report.scorers}
    assert "there is no module 'nowhere'" in said["nowhere:mine"]
    assert "RuntimeError: broken on purpose" in said["broken_scorers:mine"]
    assert "The nearest is 'polite'" in said["odd_scorers:politee"]
    assert "is int and no scorer" in said["odd_scorers:no_scorer"]
    assert "has no option 'louder'" in said["odd_scorers:polite"]
    assert "The nearest is 'completed'" in said["completd"]
    assert "needs the option 'tool'" in said["call_rate"]
    assert "" == said["completed"]
    assert report.failed
    assert ["completed"] == [key.scorer for key in load_scores(run_store, report.run_id)]


def test_a_host_must_be_asked_for_and_allowed(run_store, plugins):
    """A scorer that names a host is not run where that host is not allowed; the sentence says how to allow it."""
    report = score_run(run_store, "last", ["odd_scorers:wants_a_host"], path=plugins, workers=1)
    assert "Allow it with --allow-host judge.example:443" in report.scorers[0].error
    assert {} == load_scores(run_store, report.run_id)


def test_a_stranger_s_citation_is_unscored(run_store, plugins):
    """A span that is not one of the case's is no evidence."""
    report = score_run(run_store, "last", ["odd_scorers:cites_strangers"], path=plugins, workers=1)
    assert (0, 18) == (report.scorers[0].scored, report.scorers[0].failed)


@pytest.mark.slow
def test_scorers_of_sets_judge_each_arm(run_store, plugins):
    """A scorer of a set is asked once an arm, may stop early, and stands beside the others."""
    specs = ["odd_scorers:counts", "odd_scorers:looks_at_two", "completed"]
    report = score_run(run_store, "last", specs, path=plugins, workers=1)
    found = load_run_scores(run_store, report.run_id).set_scores
    by_name = {key.scorer: arms for key, arms in found.items()}
    assert {"counts", "looks_at_two"} == set(by_name)
    assert pytest.approx(2 / 6) != by_name["counts"]["candidate"].value
    assert "6 seen" == by_name["counts"]["candidate"].explanation
    assert {"baseline", "baseline_2", "candidate"} == set(by_name["looks_at_two"])


def test_expectations_make_a_key_of_their_own(run_store):
    """What is expected of a case is what `exact_match` compares with; other expectations are other scores."""
    manifest = load_manifest(run_store, "last")
    span_ids = [case[3] for case in manifest["cases"]]
    expected = {span_ids[1]: {"answer": ["Paid 40.", "Paid."]}, span_ids[0]: {"answer": "Nothing."}}
    report = score_run(run_store, "last", ["exact_match"], expectations=expected, workers=1)
    score_run(run_store, "last", ["exact_match"], workers=1)
    found = load_scores(run_store, report.run_id)
    assert 2 == len(found)
    cells = found[report.scorers[0].info.key]
    cases = [case[0] for case in manifest["cases"]]
    assert (0.0, 1.0) == tuple(cells[cases[at], "baseline", 0].value for at in (0, 1))


def test_a_scorer_without_an_import_path_is_scored_here_only(run_store):
    """A function of a test cannot be imported elsewhere: in another process it is refused, in this one it is asked."""

    @scorer(name="local")
    def local(subject):
        return Score(1.0, "here")

    with pytest.raises(ScorerError, match="isolated=False"):
        score_run(run_store, "last", [local])
    report = score_run(run_store, "last", [local], isolated=False)
    assert 18 == report.scorers[0].scored


def test_bad_questions_are_answered_plainly(run_store):
    """No run, no scorer, the same scorer twice, and a name that is none."""
    with pytest.raises(NotFoundError, match="nearest"):
        score_run(run_store, "nope", OURS)
    with pytest.raises(ScorerError, match="No scorer is named"):
        score_run(run_store, "last", [])
    with pytest.raises(ScorerError, match="named twice"):
        score_run(run_store, "last", ["completed", "completed"])
    with pytest.raises(ScorerError, match="names no scorer"):
        parse("x=")
    assert ScorerSpec("completed", {}, "done") == parse("done=completed")


@pytest.mark.slow
def test_erasing_a_customer_takes_their_scores_along(run_store):
    """What was said of a customer's turns goes with the conversation; the other customer's stays."""
    from auditlog.keeping.erase import erase

    report = score_run(run_store, "last", ["exact_match"], workers=1)
    before = load_scores(run_store, report.run_id)
    run_store.seal()
    path = run_store.path
    from auditlog.keeping.erase import subject_of

    erase(run_store, subject_of(run_store, None, ["c0"]))
    with Store.open(path) as store:
        after = load_scores(store, report.run_id)
    (key,) = before
    gone = {case[0] for case in load_manifest(run_store, "last")["cases"] if case[1] == "c0"}
    assert {cell for cell in before[key] if cell[0] not in gone} == set(after[key])


def test_an_interrupted_scoring_goes_on_where_it_was(run_store):
    """What was appended before an interruption is kept, and the next scoring asks for the rest only."""

    def stop(progress):
        if progress.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_run(run_store, "last", ["completed"], workers=1, progress=stop)
    run_store.refresh()
    report = score_run(run_store, "last", ["completed"], workers=1)
    assert (6, 12) == (report.scorers[0].kept, report.scorers[0].scored)
    assert 18 == len(load_scores(run_store, report.run_id)[report.scorers[0].info.key])


def children():
    """Give the processes that this one started and that are still there, on whichever of its threads."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found


def test_no_worker_is_left_behind(run_store):
    """When a scoring is over its processes and scratch directories are gone."""
    before = children()
    score_run(run_store, "last", ["completed"], workers=2)
    assert before == children()
