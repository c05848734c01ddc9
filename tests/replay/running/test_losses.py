"""Workers that are ended from outside: what is handed out again, and what is not."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

import replay
from auditlog.store import Store
from replay.errors import RunError, TargetError
from replay.running.limits import Limits, Spend
from replay.running.on_ray import MOST_LOSSES, RayWorker
from replay.running.pool import Answer, Worker
from replay.running.rates import Leases
from replay.running.tasks import Tasks
from replay.sandbox.modes import Modes

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture
def kill_workers(monkeypatch):
    """Give what has workers killed that are given the case of a question, so many times; and what counts what they were given."""
    given = Counter()

    def kill(question, times):
        class Killed(Worker):
            async def run_all(self, jobs):
                asked = [job.arguments["question"] for job in jobs]
                given.update(asked)
                if question in asked and given[question] <= times:
                    self._process.kill()
                async for answers in super().run_all(jobs):
                    yield answers

        monkeypatch.setattr("replay.running.runner.Worker", Killed)
        return given

    return kill


def statuses(store, run_id):
    """Give how each case ended, by its question."""
    report = replay.load_report(store, run_id)
    return {case.user_text: (case.status, case.why) for case in report.cases}


@pytest.mark.parametrize(("times", "expected"), [(1, "complete"), (9, "errored")])
def test_a_case_whose_worker_is_killed_is_handed_out_once_more(recorded, kill_workers, times, expected):
    """One SIGKILL from outside costs nothing; a second in the same case makes it errored, and no other case suffers."""
    given = kill_workers("refund A1", times)
    planned = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    summary = replay.run(recorded, planned)
    assert (summary.status, summary.done) == ("complete", 6)
    found = statuses(recorded, planned.run_id)
    status, why = found.pop("refund A1")
    assert (expected, expected == "errored") == (status, "ended by SIGKILL" in why)
    assert {"complete", "errored"} == {status for status, _ in found.values()}
    assert 2 == given["refund A1"]


def test_where_writes_are_live_nothing_is_handed_out_again_and_one_case_at_a_time(recorded, kill_workers):
    """A worker has one case, and one that was killed in it is not followed by another: the write may have happened."""
    given = kill_workers("refund A1", 9)
    modes = Modes(writes="live", live_writes=("refund",))
    planned = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, modes=modes)
    together = []
    run_all = Worker.run_all

    async def counted(worker, jobs):
        together.append(len(jobs))
        async for answers in run_all(worker, jobs):
            yield answers

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Worker, "run_all", counted)
        assert "complete" == replay.run(recorded, planned).status
    assert (1, {1}) == (given["refund A1"], set(together))
    assert "errored" == statuses(recorded, planned.run_id)["refund A1"][0]


def test_what_a_lost_actor_was_given_comes_back_case_by_case(recorded, monkeypatch):
    """A shard of which nothing came back is handed out again one case at a time, and every case is there once."""
    sizes = []

    class Lost(Worker):
        async def run_all(self, jobs):
            sizes.append(len(jobs))
            if len(jobs) > 1:
                await self.kill()
                yield [Answer("it was lost", 0.0, lost=True)] * len(jobs)
                return
            async for answers in super().run_all(jobs):
                yield answers

    monkeypatch.setattr("replay.running.runner.Worker", Lost)
    monkeypatch.setattr("replay.running.staff.Staff.at_once", 4)
    planned = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    assert "complete" == replay.run(recorded, planned).status
    assert {4: 1, 2: 1, 1: 6} == Counter(sizes)
    assert 6 == len(replay.load_report(recorded, planned.run_id).cases)
    assert ["crash"] == [
        said for said, (status, _) in statuses(recorded, planned.run_id).items() if status != "complete"
    ]


def test_a_lost_actor_answers_for_its_whole_shard_and_a_broken_cluster_ends_the_run():
    """Each case of a lost actor is said to be lost; a cluster that only loses ends the run with a sentence."""

    async def gone(_jobs):
        raise ConnectionError("gone")

    cluster = SimpleNamespace(losses=0, is_loss=lambda error: isinstance(error, ConnectionError))

    async def lose():
        worker = RayWorker(cluster, SimpleNamespace(env=()), {})
        worker._actor = SimpleNamespace(run=SimpleNamespace(remote=gone))
        return [answer async for answers in worker.run_all([None, None]) for answer in answers]

    assert [True, True] == [answer.lost for answer in asyncio.run(lose())]
    cluster.losses = MOST_LOSSES
    with pytest.raises(RunError, match="were lost one after the other: gone"):
        asyncio.run(lose())


def test_a_directory_that_is_gone_is_said_and_loses_nothing(recorded, tmp_path):
    """Where a worker's directory was taken away, the run says which, and goes on when it is back."""
    place = tmp_path / "code"
    shutil.copytree(AGENTS, place)
    planned = replay.plan(recorded, "shop_agents:v1", path=place, workers=1)
    place.rename(tmp_path / "away")
    with pytest.raises(TargetError, match=f"cannot be started: {place} is gone. What is done is kept."):
        replay.run(recorded, planned)
    (tmp_path / "away").rename(place)
    resumed = replay.resume(recorded, planned.run_id, path=place)
    assert "complete" == replay.run(recorded, resumed).status


def test_a_task_that_comes_back_is_never_taken_for_the_end():
    """Whoever waits while a task comes back sees it, however long somebody else holds the queue."""

    async def scene():
        tasks = Tasks(9)
        await tasks.feed(["a"])
        await tasks.fed()
        assert ["a"] == await tasks.take(1, 1)
        coming = tasks.later("a", 0.0)
        await tasks.give_back(1)
        async with tasks._changed:
            for _ in range(5):
                await asyncio.sleep(0)
            assert not tasks.over
        await coming
        return await tasks.take(1, 1)

    assert ["a"] == asyncio.run(scene())


def test_what_is_to_be_alone_is_taken_alone():
    """A task that may have ended its worker has no company, before it or after it."""

    async def scene():
        tasks = Tasks(9, lambda task: task == "b")
        await tasks.feed(list("aabaa"))
        return [await tasks.take(9, 1) for _ in range(3)]

    assert [["a", "a"], ["b"], ["a", "a"]] == asyncio.run(scene())


def test_failed_calls_do_not_make_the_others_seem_small():
    """Calls that were refused took no tokens, and what a call is taken to take stays what calls took."""

    async def scene():
        now = [0.0]
        leases = Leases(Limits(tokens_per_minute=60_000), lambda: now[0])
        await leases.take()
        leases.settle(Spend(calls=1, tokens=900))
        for _ in range(3):
            now[0] += 60
            await leases.take()
            leases.settle(Spend(calls=1, untold=1))
        return leases._guess, leases._reserved, leases._open

    assert (900, 0, 0) == asyncio.run(scene())


def test_a_lease_giver_that_comes_back_begins_with_nothing():
    """After a loss nobody knows what was given in the last second, so nothing is given at once."""

    async def scene():
        now = [0.0]
        fresh, again = (
            Leases(Limits(requests_per_minute=60), lambda: now[0], again=lost) for lost in (False, True)
        )
        return fresh._requests.wait(), again._requests.wait()

    assert (0.0, 1.0) == asyncio.run(scene())


def test_limits_can_be_put_back_to_what_they_are_by_default(record, agents, tmp_path):
    """Who goes on with a run can say the default, and it is taken."""
    before = Limits(deadline=5.0, retries=0, max_usd=1.0)
    assert Limits(60.0, None, 1.0, retries=2) == Limits(deadline=60.0, retries=2).over(before)
    assert before == Limits().over(before)
    record(tmp_path / "audit", agents.v1, [["hello"]])
    with Store.open(tmp_path / "audit") as store:
        planned = replay.plan(store, "shop_agents:v1", path=AGENTS, workers=1, limits=before)
        assert (5.0, 0) == (planned.limits.case_seconds, planned.limits.most_retries)
