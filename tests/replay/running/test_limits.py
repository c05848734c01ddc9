"""What a run may take, how fast it asks, and what is tried again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import pytest

import replay
from auditlog.store import Store
from replay.errors import RunError
from replay.pinned.not_pinned import counted
from replay.running.executed import is_infrastructure
from replay.running.limits import Limits, Spend, from_json, used_up, with_rates
from replay.running.rates import Bucket, Leases
from replay.running.runs import ends, load_manifest, spent
from replay.sandbox.modes import Modes

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture
def paid(record, tmp_path, import_file):
    """A store with eight turns of an agent whose model costs a cent each."""
    module = import_file(AGENTS / "paid_agents.py")
    record(tmp_path / "audit", module.paid, [[f"question {number}"] for number in range(8)])
    with Store.open(tmp_path / "audit") as store:
        yield store


def plan(store, agent, **limits):
    """Plan a run of the paid agents."""
    return replay.plan(store, f"paid_agents:{agent}", path=AGENTS, workers=1, limits=Limits(**limits))


@pytest.mark.parametrize("limits", [{"max_usd": 0.025}, {"max_tokens": 25}])
def test_a_budget_stops_a_run_and_a_larger_one_goes_on(limits, paid):
    """A run stops once its budget is used up, says so, and goes on with a larger one, what was spent counted."""
    planned = plan(paid, "paid", **limits)
    summary = replay.run(paid, planned)
    assert (summary.status, summary.done) == ("budget", 3)
    assert [("budget", 3)] == [(run.status, run.done) for run in replay.load_runs(paid)]
    assert spent(paid, planned.run_id) == Spend(pytest.approx(0.03), 30, 3, 0)
    again = replay.run(paid, plan(paid, "paid", **limits))
    assert (again.run_id, again.status, again.done) == (planned.run_id, "budget", 3)
    larger = Limits(**{name: 2 * value for name, value in limits.items()})
    resumed = replay.resume(paid, planned.run_id, path=AGENTS, limits=larger)
    ticks = []
    assert ("budget", 5) == (replay.run(paid, resumed, progress=ticks.append).status, ticks[-1].done)
    assert ticks[-1].spend.tokens == 50
    assert "$0.05  50 tokens" in ticks[-1].line()
    rest = replay.run(
        paid, replay.resume(paid, planned.run_id, path=AGENTS, limits=Limits(max_usd=9, max_tokens=999))
    )
    assert (rest.status, rest.done) == ("complete", 8)


def test_a_recorded_model_costs_nothing(paid):
    """What a recording answers is not counted against a budget."""
    planned = replay.plan(
        paid, "paid_agents:paid", path=AGENTS, kind="verify", workers=1, limits=Limits(max_tokens=1)
    )
    assert replay.run(paid, planned).status == "complete"
    assert spent(paid, planned.run_id).tokens == 0


def test_an_infrastructures_error_is_tried_again_and_one_execution_counts(paid, monkeypatch):
    """A rate limit is tried again, the failed attempt is in the store and counts as spent, and nowhere else."""
    monkeypatch.setattr("replay.running.retries.BACKOFF_SECONDS", 0.01)
    summary = replay.run(paid, plan(paid, "limited"))
    report = replay.load_report(paid, summary.run_id)
    assert {("complete", "Answer")} == {
        (case.status, case.candidate[0].answer_text.split(":")[0]) for case in report.cases
    }
    assert (summary.done, spent(paid, summary.run_id).calls) == (8, 16)
    retried = list(
        paid.spans("replay_run_id = ? AND kind = 'agent' AND replay_status IS NULL", [summary.run_id])
    )
    assert {"RateLimitError 429"} == {span.attributes["auditlog.replay.retried_for"] for span in retried}
    assert len(retried) == 8


def test_what_was_tried_again_is_counted_alike_by_who_resumes(paid, monkeypatch):
    """What was not pinned in a failed attempt is counted neither while the run runs nor by a process that goes on with it."""
    monkeypatch.setattr("replay.running.retries.BACKOFF_SECONDS", 0.01)
    summary = replay.run(paid, plan(paid, "limited_later"))
    told = [one["count"] for one in ends(paid)[summary.run_id]["not_pinned"] if one["kind"] == "model"]
    found = {key: count for key, count in counted(paid, summary.run_id).items() if key[0] == "model"}
    assert ([16], [16]) == (told, list(found.values()))


@pytest.mark.parametrize(("agent", "limits"), [("confused", {}), ("limited", {"retries": 0})])
def test_an_agents_own_error_is_never_tried_again(agent, limits, paid):
    """Whatever an error of the agent's says, it is what the agent does; and without retries nothing is tried again."""
    summary = replay.run(paid, plan(paid, agent, **limits))
    report = replay.load_report(paid, summary.run_id)
    assert {"errored"} == {case.status for case in report.cases}
    assert spent(paid, summary.run_id).calls == 8


@pytest.mark.parametrize(
    ("kind", "message", "attributes", "found"),
    [
        ("openai.RateLimitError", "Error code: 429 - slow down", {}, "RateLimitError 429"),
        ("openai.BadRequestError", "Error code: 400 - no", {}, ""),
        ("anthropic.APIStatusError", "Error code: 529 - overloaded", {}, "APIStatusError 529"),
        ("httpx.ReadTimeout", "", {}, "ReadTimeout"),
        ("httpx.ConnectError", "", {}, "ConnectError"),
        ("openai.APIConnectionError", "Connection error.", {}, "APIConnectionError"),
        ("TimeoutError", "", {}, "TimeoutError"),
        ("ConnectionResetError", "", {}, "ConnectionResetError"),
        ("shop.OutOfStock", "", {"http.response.status_code": 503}, "OutOfStock 503"),
        ("shop.OutOfStock", "the answer was 503", {}, ""),
        ("ValueError", "", {}, ""),
        ("openai.AuthenticationError", "Error code: 401", {}, ""),
    ],
)
def test_the_infrastructures_errors_are_known_by_type_and_status(kind, message, attributes, found):
    """429, 5xx, timeouts and lost connections are the infrastructure's; a status in the middle of a text is nobody's."""
    assert found == is_infrastructure(kind, message, attributes)


def test_a_bucket_gives_no_more_in_a_minute_than_its_rate_and_a_second():
    """However fast it is asked, a bucket of 60 a minute gives 61 in the first minute."""
    now = [0.0]
    bucket, given = Bucket(60, lambda: now[0]), 0
    while now[0] < 60:
        if (wait := bucket.wait()) == 0:
            bucket.take(1)
            given += 1
        else:
            now[0] += wait
    assert given <= 61
    assert given >= 59


def test_leases_are_shared_and_settled():
    """Workers that ask together wait their turns, and what calls really took is put right."""

    async def ask():
        leases = Leases(Limits(requests_per_minute=6000, tokens_per_minute=60_000))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(leases.take() for _ in range(3)))
        leases.settle(Spend(calls=3, tokens=3000))
        at_once = loop.time() - began
        await leases.take()
        return at_once, loop.time() - began

    at_once, later = asyncio.run(ask())
    assert at_once < later
    assert later >= 1.5


def test_a_run_keeps_to_its_rate_and_waiting_is_not_the_cases(paid):
    """Live model calls wait for their lease, and a deadline shorter than the wait is kept."""
    planned = plan(paid, "paid", deadline=1.0, requests_per_minute=150)
    began = []
    summary = replay.run(paid, planned, progress=lambda p: began.append(p.seconds))
    assert (summary.status, summary.done) == ("complete", 8)
    assert began[-1] - began[0] >= 5 / 150 * 60 - 1
    assert {"complete"} == {case.status for case in replay.load_report(paid, summary.run_id).cases}


def test_a_coroutine_that_waits_for_its_lease_keeps_nobody_waiting(paid):
    """While one call of an agent waits for its lease, the agent's event loop goes on, past the deadline's length, too."""
    planned = replay.plan(
        paid,
        "paid_agents:at_once",
        path=AGENTS,
        workers=1,
        limit=2,
        limits=Limits(deadline=0.9, requests_per_minute=60),
    )
    summary = replay.run(paid, planned)
    assert (summary.status, summary.done) == ("complete", 2)
    cases = replay.load_report(paid, planned.run_id).cases
    assert {("complete", "went on")} == {(case.status, case.candidate[0].answer_text) for case in cases}


def test_limits_are_read_back_and_nonsense_is_refused(paid):
    """A manifest keeps the limits; those of one from before are its own two; what has no meaning says what has."""
    limits = with_rates(Limits(max_usd=5), ["60rpm", "90ktpm"])
    assert (limits.requests_per_minute, limits.tokens_per_minute) == (60, 90_000)
    assert from_json(asdict(limits)) == limits
    with pytest.raises(RunError, match="'fast' is no rate. Write requests a minute, such as 60rpm"):
        with_rates(Limits(), ["fast"])
    with pytest.raises(RunError, match="max_usd is a number above 0"):
        plan(paid, "paid", max_usd=0)
    planned = plan(paid, "paid", max_seconds=3)
    replay.run(paid, planned)
    assert load_manifest(paid, planned.run_id)["limits"]["max_seconds"] == 3
    assert used_up(Limits(max_seconds=3), Spend(), 3.5) == "max_seconds"
    assert used_up(Limits(), Spend(9, 9, 9, 9), 9) is None


LEAVING = """
import auditlog

kept = []

@auditlog.model("small")
def think(question):
    yield "a"
    yield "b"

@auditlog.agent("thinker", version="1")
def ends(question: str, history: list) -> str:
    return "".join(think(question))

@auditlog.agent("thinker", version="2")
def leaves(question: str, history: list) -> str:
    kept.append(think(question))
    return next(kept[-1])
"""


@pytest.mark.parametrize(("served", "calls"), [("recorded", 0), ("live", 4)])
def test_a_stream_that_is_left_is_spent_only_where_it_was_live(served, calls, record, tmp_path, import_file):
    """A served stream that its agent leaves costs nothing, for a run and for who goes on with it; a live one does."""
    (tmp_path / "leaving_agents.py").write_text(LEAVING, encoding="utf-8")
    agents = import_file(tmp_path / "leaving_agents.py")
    record(tmp_path / "audit", agents.ends, [["a"], ["b"], ["c"], ["d"]])
    with Store.open(tmp_path / "audit") as store:
        planned = replay.plan(
            store, "leaving_agents:leaves", path=tmp_path, workers=1, modes=Modes(model=served)
        )
        told = []
        summary = replay.run(store, planned, progress=told.append)
        assert ("complete", 4) == (summary.status, summary.done)
        assert calls == told[-1].spend.calls
        assert calls == spent(store, summary.run_id).calls
        left = list(store.spans("replay_run_id = ? AND kind = 'model'", [summary.run_id]))
        assert ["incomplete"] * 4 == [span.status for span in left]
        assert calls == sum(counted(store, summary.run_id).values())
