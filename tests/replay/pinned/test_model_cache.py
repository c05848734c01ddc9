"""Models' answers that are given again: over real workers, a real client and a model server that never says the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import replay
from auditlog.interception import Call
from auditlog.operation import Operation
from auditlog.redaction import for_store
from auditlog.taken_out import COUNTS
from replay.cli import replay as command
from replay.errors import RunError
from replay.pinned.model_cache import KEY, answers_of, cache_key, is_answer
from replay.running.follow_ups import plan_again
from replay.running.runs import load_manifest
from replay.sandbox.modes import Modes

AGENTS = Path(__file__).parent.parent / "agents"
CACHED = Modes(model="cached")


def answers(case, arm="candidate"):
    """Give what an arm answered, by repeat."""
    return [trial.turn.agent.output for trial in case.of(arm)]


def models(case, arm="candidate"):
    """Give an arm's model calls."""
    return case.of(arm)[0].turn.of_kind("model")


def test_the_next_run_of_an_unchanged_request_is_answered_from_the_cache(agents, store_of, trials):
    """Equal requests of one case keep their different answers, streams come piece by piece, and nothing is spent."""
    store = store_of(agents.asks_model, "one", "two")
    first = trials(store, "asks_model", modes=CACHED)
    again = trials(store, "asks_model", modes=CACHED, fresh=True)
    assert [answers(case) for case in first] == [answers(case) for case in again]
    drawn = [word for case in first for word in (*answers(case)[0][:2], *answers(case)[0][2])]
    assert len(drawn) == len(set(drawn)) == 10
    assert ["cached"] * 3 == [span.replay.match_tier for span in models(again[0])]
    assert [None] * 3 == [span.replay.match_tier for span in models(first[0])]
    assert [(3, 5, 0.25), (3, 5, 0.0)] == [
        (span.usage.input_tokens, span.usage.output_tokens, span.cost_usd)
        for span in (models(first[0])[0], models(again[0])[0])
    ]


def test_the_run_that_asked_is_found_however_many_came_after_it(agents, store_of, trials):
    """An answer does not go out of the cache because a year of daily runs was answered by it."""
    store = store_of(agents.asks_model)
    (case,) = trials(store, "asks_model", modes=CACHED)
    asked = models(case)[0].replay
    later = [f"run-{number}" for number in range(400)]
    found = answers_of(store, [*later, asked.run_id], [asked.source_span_id])
    assert 3 == sum(map(len, found.values()))


@pytest.mark.slow
def test_repeats_and_the_second_baseline_have_answers_of_their_own(agents, store_of, trials):
    """The repeat is in the key, and so is whether it is the arm that shows the noise."""
    store = store_of(agents.asks_model)
    options = {"modes": CACHED, "baseline": "pinned_agents:asks_model", "repeats": 2, "sample": 1.0}
    (case,) = trials(store, "asks_model", **options)
    (again,) = trials(store, "asks_model", **options, fresh=True)
    for arm in ("baseline", "baseline_2"):
        assert answers(case, arm) == answers(again, arm)
    # From the second run on both arms of a repeat have one answer: the first that was given.
    assert answers(again, "baseline") == answers(again)
    drawn = [str(found) for arm in ("baseline", "baseline_2") for found in answers(again, arm)]
    assert 4 == len(set(drawn))


@pytest.mark.slow
def test_code_that_changed_gets_new_answers_of_a_decorated_function(agents, store_of, trials):
    """What a decorated function asks its model is in its body: another target's answers say nothing of it."""
    store = store_of(agents.asks_model)
    (first,) = trials(store, "asks_model", modes=CACHED)
    (other,) = trials(store, "asks_model_otherwise", modes=CACHED)
    assert not set(answers(first)[0][:2]) & set(answers(other)[0])


def test_a_wrapped_clients_answer_is_shared_by_whoever_sends_the_very_request(
    agents, store_of, trials, model_server
):
    """Another version gets the answer to what it asks the same, and asks the server for the rest."""
    store = store_of(agents.served, url=model_server.url)
    options = {"modes": CACHED, "hosts": [model_server.host]}
    (first,) = trials(store, "served", **options)
    model_server.asked.clear()
    (again,) = trials(store, "served", **options, fresh=True)
    assert [] == model_server.asked
    assert answers(first) == answers(again)
    (other,) = trials(store, "served_otherwise", **options)
    assert answers(first)[0][0] == answers(other)[0][0]
    assert ["Really: hi", "hi"] == [asked["messages"][0]["content"] for _, asked, _ in model_server.asked]
    assert ["cached", None, None] == [span.replay.match_tier for span in models(other)]


@pytest.mark.slow
def test_another_server_does_not_answer_for_the_first(agents, store_of, trials, model_server):
    """Which hosts a run may reach is part of what serves its models."""
    store = store_of(agents.asks_model)
    (first,) = trials(store, "asks_model", modes=CACHED)
    (other,) = trials(store, "asks_model", modes=CACHED, hosts=[model_server.host])
    assert not set(answers(first)[0][:2]) & set(answers(other)[0][:2])


@pytest.mark.slow
def test_a_run_with_live_models_neither_takes_nor_leaves_answers(agents, store_of, trials):
    """Only a run that caches does."""
    store = store_of(agents.asks_model)
    (live,) = trials(store, "asks_model")
    assert KEY not in models(live)[0].attributes
    (cached,) = trials(store, "asks_model", modes=CACHED)
    assert not set(answers(live)[0][:2]) & set(answers(cached)[0][:2])


@pytest.mark.slow
def test_an_interrupted_run_is_answered_for_what_was_asked(agents, store_of, trials):
    """What a case of an unfinished run was told is there for every later run."""
    store = store_of(agents.asks_model, "one", "two")
    plan = replay.plan(store, "pinned_agents:asks_model", path=AGENTS, workers=1, modes=CACHED)
    replay.run(store, replace(plan, cases=plan.cases[:1]))
    (first, _) = trials(store, "asks_model", modes=CACHED, fresh=True)
    assert ["cached"] * 3 == [span.replay.match_tier for span in models(first)]


@pytest.mark.slow
def test_what_was_redacted_is_not_given_again(agents, store_of, trials, tmp_path):
    """An answer in which something was taken out is not the answer."""
    store = store_of(agents.asks_model, "my card is 4111 1111 1111 1111")
    from auditlog.layout import ensure

    (tmp_path / "audit" / "keys").mkdir(exist_ok=True)
    for_store(ensure(tmp_path / "audit"), redact=True)
    trials(store, "asks_model", modes=CACHED)
    (again,) = trials(store, "asks_model", modes=CACHED, fresh=True)
    redacted = [span for span in models(again) if span.attributes.keys() & set(COUNTS)]
    assert redacted
    assert {None} == {span.replay.match_tier for span in redacted}
    assert not any(map(is_answer, redacted))


def test_a_store_that_was_changed_gives_no_answers(agents, store_of, trials, tmp_path):
    """A poisoned cache would be a wrong verdict: a store that does not verify begins no such run."""
    store = store_of(agents.asks_model)
    trials(store, "asks_model", modes=CACHED)
    store.seal()
    segment = next((tmp_path / "audit" / "segments").rglob("*.parquet"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(content)
    with pytest.raises(RunError, match="INVALID"):
        trials(store, "asks_model", modes=CACHED, fresh=True)


def test_a_run_that_goes_on_or_is_confirmed_verifies_the_store_too(agents, store_of, trials, monkeypatch):
    """Not only a new run takes cached answers."""
    store = store_of(agents.asks_model)
    trials(store, "asks_model", modes=CACHED)
    manifest = load_manifest(store, "last")

    def refuse(_):
        raise RunError("it was changed")

    monkeypatch.setattr("replay.running.describing.refuse_changed", refuse)
    with pytest.raises(RunError, match="it was changed"):
        replay.resume(store, "last", path=AGENTS)
    with pytest.raises(RunError, match="it was changed"):
        plan_again(store, manifest, [manifest["cases"][0][3]], 1, path=AGENTS)


def call(arguments, name="draw", **attributes):
    """Make a model call."""
    operation = Operation("model", name, attributes={"server.address": "a", **attributes})
    return Call(operation, arguments, False, "t", "s", None)


@pytest.mark.parametrize(
    "other",
    [
        (call({"model": "b", "messages": []}), "p", "c", 0),
        (call({"model": "a", "messages": [], "temperature": 0}), "p", "c", 0),
        (call({"model": "a", "messages": []}, **{"server.address": "b"}), "p", "c", 0),
        (call({"model": "a", "messages": []}, **{"gen_ai.provider.name": "x"}), "p", "c", 0),
        (call({"model": "a", "messages": []}, **{"auditlog.request.added_digest": "x"}), "p", "c", 0),
        (call({"model": "a", "messages": []}, name="other"), "p", "c", 0),
        (call({"model": "a", "messages": []}), "another turn, draw or host", "c", 0),
        (call({"model": "a", "messages": []}), "p", "c", 1),
    ],
)
def test_whatever_decides_an_answer_is_in_its_key(other):
    """Model, parameters, server, provider, turn, draw, hosts and number each make another key; the order of names does not."""
    same = (call({"messages": [], "model": "a"}), "p", "c", 0)
    assert cache_key(call({"model": "a", "messages": []}), "p", "other code", 0) == cache_key(*same)
    assert cache_key(*other) != cache_key(*same)


def test_pruned_answers_are_not_given_again_and_stay_in_the_trail(agents, store_of, trials, tmp_path):
    """`cache ls` counts by run and model; `cache prune` makes the next run ask anew, and takes no record away."""
    store = store_of(agents.asks_model)
    path = str(tmp_path / "audit")

    def invoke(*words):
        return CliRunner().invoke(command, ["cache", *words, "--store", path])

    assert 1 == invoke("ls").exit_code
    (first,) = trials(store, "asks_model", modes=CACHED)
    (row,) = json.loads(invoke("ls", "--format", "json").stdout)
    assert ("dice", 3) == (row["model"], row["answers"])
    assert "0 cached answers will not be given again; 3 will." in invoke("prune", "--model", "other").stderr
    assert (
        "0 cached answers will not be given again; 3 will."
        in invoke("prune", "--before", "2020-01-01").stderr
    )
    assert "3 cached answers will not be given again; 0 will." in invoke("prune", "--model", "dice").stderr
    assert 1 == invoke("ls").exit_code
    store.refresh()
    (again,) = trials(store, "asks_model", modes=CACHED, fresh=True)
    assert not set(answers(first)[0][:2]) & set(answers(again)[0][:2])
    assert (
        2 * 3
        == store.query("SELECT count(*) AS n FROM all_spans WHERE kind = 'model'").to_pylist()[0]["n"] - 3
    )
