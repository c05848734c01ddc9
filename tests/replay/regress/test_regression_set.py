"""The regression set in a store: versions, sealing, pruning, erasure, and whole runs of it with real workers."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

import auditlog
from auditlog import config
from auditlog.cli.main import main
from auditlog.errors import NotFoundError
from auditlog.integrity.verify import verify
from auditlog.keeping import prune
from auditlog.keeping.erase import erase, subject_of
from auditlog.keeping.holds import holds
from auditlog.ledger.ledger import read_ledger
from auditlog.recorder import Recorder
from auditlog.store import Store
from auditlog.store.access import accesses
from replay.errors import RunError
from replay.regress import add, load_set, plan_set, remove, results_of, run_set
from replay.regress.expectations import NOTHING, from_words, words
from replay.regress.judging import Tally, _verdict
from replay.regress.keeping import (
    RegressionCase,
    RegressionSet,
    history,
    is_sealed_by_hash,
    reviewed_turns,
    turns_named,
)

AGENTS = Path(__file__).parent.parent / "agents"


def turn_of(store, conversation="c0", number=2):
    """Give one recorded turn; the second of the first conversation is a refund."""
    return turns_named(store, conversation, number)[0]


def command(*words_, store):
    """Run a command; give its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["regress", *words_, "--store", str(store.path)])
    return int(ended.value.code)


def run(store, candidate, **options):
    """Plan and run the set."""
    return run_set(store, plan_set(store, f"shop_agents:{candidate}", path=AGENTS, workers=1, **options))


def test_each_change_is_a_version_with_a_digest(recorded):
    """Adding, changing and removing count up; the digest tells the sets apart, and the same set has the same digest."""
    first = add(recorded, turn_of(recorded), reason="complaint 7")
    assert ("add", 1, "") == (first.event, first.version, first.held)
    one = load_set(recorded).digest
    second = add(recorded, turn_of(recorded), more=from_words(["fact:A1"], []))
    assert ("edit", 2, "complaint 7") == (second.event, second.version, second.case.reason)
    assert "expect fact:A1" in words(load_set(recorded).cases[0].expected)
    add(recorded, turn_of(recorded, "c1", 1))
    remove(recorded, turns_named(recorded, "c1", 1)[0].agent.conversation_id)
    changes = history(recorded)
    assert [(1, "add"), (2, "edit"), (3, "add"), (4, "remove")] == [(c.version, c.event) for c in changes]
    assert one == changes[0].digest
    assert changes[1].digest == changes[3].digest == load_set(recorded).digest
    assert changes[2].digest != changes[1].digest
    assert 4 == load_set(recorded).version


def test_the_ledger_signs_the_set_and_queries_leave_it_out(recorded):
    """The set is records like any other: sealed, verified, and in no list of conversations."""
    before = recorded.ids()
    add(recorded, turn_of(recorded))
    recorded.seal()
    assert before == recorded.ids()
    assert [] == verify(recorded.layout, deep=True, jobs=1).faults
    assert 1 == len(load_set(recorded).cases)


def test_a_case_is_kept_from_pruning_as_long_as_it_is_one(recorded):
    """Pruning leaves the conversation and its expectations; once the case is removed, both go."""
    add(recorded, turn_of(recorded))
    recorded.seal()
    prune.prune(recorded, time.time_ns() + 10**9, older_than="now")
    assert [False, True] == [
        any(s.erased for s in recorded.conversation(name).spans) for name in ("c0", "c1")
    ]
    assert 1 == len(load_set(recorded).cases)
    remove(recorded, "c0")
    assert [] == holds(read_ledger(recorded.layout.entries))
    recorded.seal()
    prune.prune(recorded, time.time_ns() + 10**9, older_than="now")
    assert [] == recorded.ids()


def test_erasing_the_customer_takes_the_case(recorded):
    """A hold of the set stands in no erasure's way; what was expected goes with what was said, and how many is told."""
    add(recorded, turn_of(recorded))
    recorded.seal()
    erase(recorded, subject_of(recorded, "u0", ()))
    found = load_set(recorded)
    assert ((), 1) == (found.cases, found.erased)
    assert ["erased"] == [change.event for change in history(recorded)]
    assert 2 == add(recorded, turn_of(recorded, "c1", 1)).version


@pytest.mark.slow
def test_what_cannot_be_a_case_is_refused(recorded):
    """A turn of which nothing is expected, a turn that is not there, and a replay are told."""
    with pytest.raises(RunError, match="Nothing is expected of this turn"):
        add(recorded, turn_of(recorded), NOTHING)
    with pytest.raises(NotFoundError, match="c0 has 3 turns, and no turn 9"):
        turns_named(recorded, "c0", 9)
    with pytest.raises(NotFoundError, match="The regression set is empty"):
        plan_set(recorded, "shop_agents:v1", path=AGENTS)
    add(recorded, turn_of(recorded))
    results = run(recorded, "v1")
    replayed = next(
        s.conversation_id for s in recorded.spans("replay_run_id = ? AND kind = 'agent'", [results.run_id])
    )
    with pytest.raises(NotFoundError, match="is a replay"):
        turns_named(recorded, replayed)


@pytest.mark.slow
def test_a_candidate_is_judged_case_by_case(recorded):
    """The recorded version passes; one that pays what it should not fails its case, hard; what was scored stands in the store."""
    for name in ("c0", "c1"):
        for turn in turns_named(recorded, name):
            add(recorded, turn)
    good = run(recorded, "v1")
    assert ("PASS", {"passed": 6}) == (good.verdict, dict(good.counts))
    bad = run(recorded, "generous")
    assert ("FAIL", {"passed": 5, "failed": 1}) == (bad.verdict, dict(bad.counts))
    (failed,) = bad.of("failed")
    assert ("refund A2", "hard") == (
        turn_of(recorded, "c0", failed.case.turn_index + 1).user_text,
        failed.level,
    )
    assert "Called or attempted: refund" == failed.why
    from replay.scorers.scoring import load_scores

    assert {"expected_calls", "forbidden_calls", "expected_handoff", "expected_words", "forbidden_words"} == {
        key.scorer for key in load_scores(recorded, bad.run_id)
    }
    assert bad == results_of(recorded, bad.run_id)


@pytest.mark.slow
def test_what_the_run_did_not_reach_is_unjudged(recorded):
    """A case that was added after a run is in that run's results, as not run: the denominator never shrinks."""
    add(recorded, turn_of(recorded))
    first = run(recorded, "v1")
    add(recorded, turn_of(recorded, "c1", 1))
    again = results_of(recorded, first.run_id)
    assert ("INCONCLUSIVE", {"passed": 1, "unjudged": 1}) == (again.verdict, dict(again.counts))
    assert "It did not run." == again.of("unjudged")[0].why


@pytest.mark.slow
def test_a_case_that_the_baseline_fails_is_unstable_from_then_on(recorded):
    """What a baseline fails is known for the case as it is, also in later runs beside the same baseline, and in no others."""
    add(recorded, turn_of(recorded, "c1", 2))
    first = run(recorded, "no_persons", baseline="shop_agents:no_persons")
    assert ("unstable", 1.0) == (first.cases[0].status, first.cases[0].flake_rate)
    assert "The version in production fails it, too: 2 of 2 times" in first.cases[0].why
    assert "PASS" == first.verdict
    later = run(recorded, "no_persons", baseline="shop_agents:no_persons")
    assert "unstable" == later.cases[0].status
    assert "4 of 4 times" in later.cases[0].why
    assert ("failed", None) == _only(results_of(recorded, later.run_id, production="another"))
    assert ("failed", None) == _only(run(recorded, "no_persons"))
    add(recorded, turn_of(recorded, "c1", 2), more=from_words(["fact:A1"], []))
    assert ("unstable", 1.0) == _only(run(recorded, "no_persons", baseline="shop_agents:no_persons"))


@pytest.mark.slow
def test_what_an_older_version_failed_excuses_nothing_once_it_is_mended(recorded):
    """A case that the old production failed fails for a candidate that breaks what the present production does right."""
    add(recorded, turn_of(recorded, "c1", 2))
    assert "PASS" == run(recorded, "v1", baseline="shop_agents:no_persons").verdict
    broken = run(recorded, "no_persons", baseline="shop_agents:v1")

    assert ("FAIL", ("failed", 0.0)) == (broken.verdict, _only(broken))
    assert "in production" not in broken.cases[0].why


def test_a_candidate_that_always_fails_beside_a_baseline_that_never_does_fails():
    """What the baseline failed in earlier runs excuses no candidate that fails each time beside one that passes each time."""
    case = RegressionCase("c1", "c", "t", "s", 0, "bot", NOTHING)
    known = Tally(passed=8, failed=2)

    def status(candidate, beside):
        return _verdict(case, candidate, beside, known, None).status

    assert "failed" == status(Tally(failed=3), Tally(passed=3))
    assert "unstable" == status(Tally(passed=1, failed=2), Tally(passed=3))
    assert "unstable" == status(Tally(failed=3), Tally(passed=2, failed=1))


def _only(results):
    """Give the status and the known rate of the set's only case."""
    (case,) = results.cases
    return case.status, case.flake_rate


@pytest.mark.slow
def test_a_sealed_case_says_how_it_came_out_and_no_more(recorded, capsys):
    """Lists, results and `show` keep its content back; whoever unseals it is in the ledger."""
    case = add(recorded, turn_of(recorded, "c0", 3), sealed=True).case
    results = run(recorded, "generous")
    assert ("failed", "", ()) == (results.cases[0].status, results.cases[0].why, results.cases[0].evidence)
    assert results_of(recorded, results.run_id, unseal=True).cases[0].why
    capsys.readouterr()
    assert 0 == command("ls", "--format", "json", store=recorded)
    assert 0 == command("show", case.case_id, store=recorded)
    assert 1 == command("judge", results.run_id, store=recorded)
    shown = capsys.readouterr().out
    assert "(sealed)" in shown
    for secret in ("c0", "refund", "forbid"):
        # As a word: digests hold any two digits by chance.
        assert not re.search(rf"\b{secret}\b", shown)
    assert 0 == command("show", case.case_id, "--unsealed", store=recorded)
    assert "forbid write" in capsys.readouterr().out
    last = list(accesses(recorded.layout))[-1]
    assert ("regress show", "unsealed") == (last.action, last.filter)


def test_a_whole_id_counts_before_a_beginning_of_another():
    """A conversation that is called what another case's id begins with is found by its name."""

    def case(case_id, conversation):
        return RegressionCase(case_id, conversation, "t", "s", 0, "bot", NOTHING)

    known = RegressionSet(1, (case("c1aaaaaaaaaa", "c7"), case("d2bbbbbbbbbb", "c1")))
    assert "d2bbbbbbbbbb" == known.case("c1").case_id
    assert "c1aaaaaaaaaa" == known.case("c1a").case_id
    with pytest.raises(NotFoundError, match="several"):
        RegressionSet(1, (case("c1aa", "c7"), case("c1bb", "c7"))).case("c1")


def test_the_hash_seals_the_same_share_for_everybody():
    """About the wanted share of cases is sealed, the same ones each time, and more where the share is larger."""
    ids = [f"{n:012x}" for n in range(2000)]
    some = {name for name in ids if is_sealed_by_hash(name, 0.3)}
    assert 500 < len(some) < 700
    assert some < {name for name in ids if is_sealed_by_hash(name, 0.5)}
    assert (0, 2000) == tuple(sum(is_sealed_by_hash(name, share) for name in ids) for share in (0.0, 1.0))


def test_reviewed_turns_become_cases_by_themselves(recorded, agents, capsys):
    """`add --reviewed` takes every turn of which a person changed the draft, with what the change teaches."""
    previous = config._state.recorder
    config.use(Recorder(recorded.writer(), agent_version="v1"))

    @auditlog.agent("reviewed")
    def drafting(question: str) -> str:
        draft = "I promise you a full refund of 40 EUR."
        auditlog.review(draft, "A colleague will answer." if question == "change" else draft, by="ann")
        return draft

    try:
        for question in ("change", "keep"):
            with auditlog.conversation(question):
                drafting(question)
    finally:
        config.use(previous)
    recorded.refresh()
    assert ["change"] == [turn.agent.conversation_id for turn in reviewed_turns(recorded)]
    assert 0 == command("add", "--reviewed", store=recorded)
    said = capsys.readouterr().out
    assert "forbid act:refund_promise" in said
    assert "forbid fact:40 EUR" in said
    recorded.refresh()
    (case,) = load_set(recorded).cases
    assert (True, "change") == (case.reviewed, case.conversation_id)


@pytest.mark.slow
def test_the_commands_keep_the_set(recorded, capsys, tmp_path):
    """Add with words and with a file, list, show, run, take out, and read the history."""
    file = tmp_path / "e.toml"
    file.write_text("other_writes = false\n", encoding="utf-8")
    assert 0 == command(
        "add", "c0", "--turn", "2", "--expect", "text:.", "--reason", "case 7", store=recorded
    )
    assert 0 == command("add", "c1", "--expectations", str(file), store=recorded)
    assert 0 == command("ls", "--format", "json", store=recorded)
    out = capsys.readouterr().out
    assert "Added" in out
    assert "expect text:." in out
    words_ = ("run", "--agent", "shop_agents:v1", "--path", str(AGENTS), "--format", "json")
    assert 0 == command(*words_, store=recorded)
    results = json.loads(capsys.readouterr().out)
    assert ("PASS", 4, 4) == (results["verdict"], results["version"], len(results["cases"]))
    assert 0 == command("rm", "c0", store=recorded)
    assert 0 == command("history", "--format", "jsonl", store=recorded)
    assert "remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words_", "code", "said"),
    [
        (("add",), 2, "Name one conversation, or say --reviewed."),
        (("add", "c0", "--expect", "tol:x"), 3, "nearest 'tool'"),
        (("add", "--reviewed"), 1, "nobody changed a draft"),
        (("show", "zzz"), 3, "There is no case 'zzz' in the regression set"),
        (("run", "--agent", "shop_agents:v1"), 3, "The regression set is empty"),
        (("run", "--agent", "shop_agents:v1", "--where", "status:error"), 3, "No such option '--where'"),
        (("history",), 1, "never had a case"),
    ],
)
def test_what_has_no_meaning_is_told(words_, code, said, recorded, capsys):
    """Each wrong word has its exit code and its sentence; `run` never ends with a verdict's code for it."""
    assert code == command(*words_, store=recorded)
    assert said in capsys.readouterr().err


def test_the_store_opens_for_everybody_as_before(recorded):
    """A store with a set opens like any other."""
    add(recorded, turn_of(recorded))
    with Store.open(recorded.path) as again:
        assert 1 == len(load_set(again).cases)
