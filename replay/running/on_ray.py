"""Workers on a Ray cluster: `--engine ray`.

The rules:

1. The run stays where it is: it plans, hands out and alone writes the store. Its workers are actors elsewhere, each with one
   worker process behind the same locks; an actor is given a shard of cases and gives its answers back together.
2. An actor that is lost has given nothing back, so nothing of its shard is done: each of its cases is handed out once more, by
   itself, so that one that is what ends its actor costs no other. What only comes back as an answer is never counted twice.
   Where writes happen for real a shard is one case, and one that was lost is not handed out again.
3. One named actor, which comes back when it is lost, leases live model calls to all shards, at the run's rate. Budgets are
   looked at between shards.
4. The agent's code has to be on every node, at the path that it has here; an actor finds another version of it, and refuses.
5. A cluster that loses one actor after the other ends the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from replay.errors import RunError, TargetError
from replay.running.limits import Limits, Spend
from replay.running.pool import Answer, Launch, Worker
from replay.running.protocol import Job, Ready, Result
from replay.running.rates import Leases
from replay.sandbox.environment import ALLOWED

START_SECONDS = 300.0
MOST_LOSSES = 20
"""Actors that a run may lose in a row without an answer."""


def _ray() -> Any:
    """Import Ray, which is an extra."""
    return importlib.import_module("ray")


class _Remote:
    """What an actor does: one worker process, and a shard at a time."""

    def __init__(self, launch: Launch, environment: Mapping[str, str], leases: str) -> None:
        self._worker = Worker(launch, environment, self._lease)
        self._leases = leases

    async def _lease(self) -> float:
        if not self._leases:
            return 0.0
        return await _ray().get_actor(self._leases).take.remote()

    async def start(self) -> Ready:
        return await self._worker.start()

    async def run(self, jobs: Sequence[Job]) -> list[Answer]:
        return [answer async for answers in self._worker.run_all(jobs) for answer in answers]

    async def end(self) -> None:
        await self._worker.kill()


class _RemoteLeases:
    """The one lease-giver of a run."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._leases: Leases | None = None

    def _ready(self) -> Leases:
        if self._leases is None:
            again = _ray().get_runtime_context().was_current_actor_reconstructed
            self._leases = Leases(self._limits, again=again)
        return self._leases

    async def take(self) -> float:
        return await self._ready().take()

    async def settle(self, spend: Spend) -> None:
        self._ready().settle(spend)


class Cluster:
    """A Ray cluster for one run: the one at an address, or one that is made on this machine for as long."""

    def __init__(self, address: str, limits: Limits) -> None:
        """Connect.

        Args:
            address: the cluster's; empty for one on this machine.
            limits: the run's.

        Raises:
            RunError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            ray = _ray()
        except ImportError:
            msg = "The engine ray is not installed. `pip install 'auditlog-replay[ray]'` installs it."
            raise RunError(msg) from None
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=address or "local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    namespace="auditlog-replay",
                )
            except Exception as error:  # noqa: BLE001 - Ray raises whatever it is
                where = address or "this machine"
                raise RunError(f"There is no Ray cluster at {where}: {error}") from None
        self.losses = 0
        """Actors lost since the last answer."""
        self.leases: Any = None
        self.leases_name = ""
        if limits.paces:
            self.leases_name = f"auditlog-replay-{secrets.token_hex(6)}"
            self.leases = (
                ray.remote(_RemoteLeases)
                .options(name=self.leases_name, num_cpus=0, max_restarts=-1, max_task_retries=-1)
                .remote(limits)
            )

    def worker(self, launch: Launch, environment: Mapping[str, str]) -> RayWorker:
        """Prepare a worker somewhere on the cluster."""
        return RayWorker(self, launch, environment)

    def settle(self, spend: Spend) -> None:
        """Put right what leased calls took."""
        if self.leases is not None and spend.calls:
            self.leases.settle.remote(spend)

    def close(self) -> None:
        """Leave the cluster; one that was made for this run ends."""
        if self.leases is not None:
            with contextlib.suppress(Exception):
                self._ray.kill(self.leases)
        if self._ours:
            self._ray.shutdown()

    def actor(self, launch: Launch, environment: Mapping[str, str]) -> Any:
        """Make an actor with one worker."""
        # How many there are the run decides, and not how many cores are free: a worker may be more waiting than computing.
        remote = self._ray.remote(_Remote).options(num_cpus=0, max_restarts=0, scheduling_strategy="SPREAD")
        return remote.remote(launch, dict(environment), self.leases_name)

    def kill(self, actor: Any) -> None:
        """End an actor at once."""
        with contextlib.suppress(Exception):
            self._ray.kill(actor)

    def is_loss(self, error: BaseException) -> bool:
        """Whether an error says that an actor or its node is gone."""
        return isinstance(error, self._ray.exceptions.RayActorError)


class RayWorker:
    """As `pool.Worker`, but elsewhere."""

    def __init__(self, cluster: Cluster, launch: Launch, environment: Mapping[str, str]) -> None:
        """Prepare to start one.

        Args:
            cluster: where.
            launch: what it runs.
            environment: the environment to scrub, there as here.
        """
        self._cluster = cluster
        self._launch = launch
        # What the worker would not be given there either does not travel.
        self._environment = {
            name: environment[name] for name in (*ALLOWED, *launch.env) if name in environment
        }
        self._actor: Any = None
        self.ready: Ready | None = None
        self.used_up = False

    @property
    def alive(self) -> bool:
        """Whether it can take a case."""
        return self.ready is not None

    async def start(self) -> Ready:
        """Start the actor, and its process, and wait until the target is imported.

        Raises:
            TargetError: the target does not import there.
            RunError: the actor did not start.
        """
        self._actor = self._cluster.actor(self._launch, self._environment)
        try:
            async with asyncio.timeout(START_SECONDS):
                self.ready = await self._actor.start.remote()
        except TimeoutError:
            raise RunError(f"No node of the Ray cluster took a worker in {START_SECONDS:.0f} s.") from None
        except Exception as error:
            cause: Any = getattr(error, "cause", None)
            if isinstance(cause, RunError | TargetError):
                raise cause from None
            if self._cluster.is_loss(error):
                raise RunError(f"A worker on the Ray cluster was lost while it started: {error}") from None
            raise
        assert self.ready is not None
        return self.ready

    async def run_all(self, jobs: Sequence[Job]) -> AsyncIterator[list[Answer]]:
        """Run a shard of cases; yield all its answers, or that the actor was lost."""
        try:
            answers: list[Answer] = await self._actor.run.remote(list(jobs))
        except Exception as error:
            if not self._cluster.is_loss(error):
                raise
            self.ready = None
            self._cluster.losses += 1
            if self._cluster.losses > MOST_LOSSES:
                msg = f"{self._cluster.losses} workers on the Ray cluster were lost one after the other: {error}"
                raise RunError(msg) from None
            yield [
                Answer("its worker on the Ray cluster was lost before it had answered", 0.0, lost=True)
            ] * len(jobs)
            return
        self._cluster.losses = 0
        last = answers[-1].result
        if isinstance(last, str):
            self.ready = None
        elif isinstance(last, Result):
            self.used_up = last.spent
        yield answers

    async def kill(self) -> None:
        """End the actor and its process."""
        actor, self._actor, self.ready = self._actor, None, None
        if actor is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await actor.end.remote()
            self._cluster.kill(actor)
