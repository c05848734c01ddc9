"""A run before it runs, as a value, and its way into the store and back.

The rules:

1. A plan says everything that a run needs: what runs, on which cases, with what allowed.
2. Its manifest is the run's first record, so that a run can be read, and gone on with, from the store alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from auditlog.journal import boot_id
from auditlog.values import Json
from replay.errors import RunError
from replay.matching.rules import NO_RULES, MatchRules, rules_from_json
from replay.pinned.pinning import PINNED, UNSEEDED, Pinning, pinning_from_json
from replay.running import limits
from replay.running.cases import Case, cases_digest
from replay.running.limits import NO_LIMITS, Limits
from replay.running.pool import Launch
from replay.running.protocol import Setup
from replay.running.runs import process_birth
from replay.running.sampling import EVERY_TURN, Sampling, sampling_from_json
from replay.sandbox.effects import NOTHING_KNOWN, KnownEffects, effects_from_json
from replay.sandbox.hosts import parse_host
from replay.sandbox.modes import Modes, modes_from_json
from replay.targets.planned import PlannedTarget, target_from_json

PlannedKind = Literal["replay", "verify", "control", "fork"]
Engine = Literal["asyncio", "ray"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run, before it runs."""

    run_id: str
    kind: PlannedKind
    created: datetime
    candidate: PlannedTarget
    baseline: PlannedTarget | None
    """None: the recorded turns are the baseline."""
    modes: Modes
    where: str
    since: str | None
    until: str | None
    limit: int | None
    sample: float
    hosts: tuple[str, ...]
    config_digest: str
    cases: tuple[Case, ...]
    locks: tuple[str, ...]
    """The locks that took hold on this machine."""

    env: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    workers: int = 1
    limits: Limits = NO_LIMITS
    repeats: int = 1
    """How often each case runs in each of its arms."""
    resumed: bool = False
    matching: MatchRules = NO_RULES
    """The declared differences between two calls that are none."""
    pinning: Pinning = PINNED
    """What is held still."""
    sampling: Sampling = EVERY_TURN
    """Which of the chosen turns are its cases."""
    effects: KnownEffects = NOTHING_KNOWN
    """What the recordings of the whole store say of tools."""
    environment: tuple[tuple[str, str], ...] = ()
    """Of the variables that are let through, and are no credentials: keyed digests of their values."""
    mask_key: str = field(default="", repr=False)
    """The store's key for masked values, in hex; no part of its record."""
    engine: Engine = "asyncio"
    """Where its workers are: processes of this machine, or actors of a Ray cluster. No part of its record."""
    ray_address: str = ""
    """The cluster's; empty for one on this machine."""
    notes: tuple[str, ...] = ()
    """What whoever starts the run should know."""

    @property
    def mode(self) -> str:
        """What is served and what is reached, in one line."""
        return self.modes.line(self.reached)

    @property
    def reached(self) -> tuple[str, ...]:
        """The hosts that are reached: none where everything is served, whatever is allowed."""
        return self.hosts if self.modes.reaches_out else ()

    @property
    def executions(self) -> int:
        """How many times an agent is called."""
        sampled = sum(case.sampled for case in self.cases) if self.baseline is not None else 0
        return (len(self.cases) * (1 if self.baseline is None else 2) + sampled) * self.repeats

    def launch(self, target: PlannedTarget) -> Launch:
        """Say how to start the workers of one of its targets."""
        place = target.place
        if place is None:
            raise RunError(
                f"{target.label} was read from a record, and has to be found again before it can run."
            )
        setup = Setup(
            target=target.path,
            adapter=target.adapter,
            modes=self.modes,
            paths=place.paths,
            scratch="",
            hosts=tuple((host.name, host.port) for host in map(parse_host, self.reached)),
            memory_bytes=self.limits.memory_bytes,
            leases=self.limits.paces,
            matching=self.matching,
            pinning=self.pinning,
            overrides=target.overrides,
            variables=target.variables,
            within=place.within,
            effects=self.effects,
            mask_key=self.mask_key,
        )
        known = target if target.sources else None
        return Launch(setup, place, self.env, self.limits.case_seconds, known, self.locks)

    def manifest(self) -> dict[str, Json]:
        """Give what the store keeps of it."""
        fields = asdict(replace(self, notes=(), cases=()))
        fields["created"] = self.created.isoformat()
        fields["cases"] = [case.listed() for case in self.cases]
        fields["case_count"] = len(self.cases)
        fields["cases_digest"] = cases_digest(fields["cases"])
        for name in ("notes", "resumed", "mask_key", "engine", "ray_address"):
            del fields[name]
        fields["candidate"] = self.candidate.recorded()
        fields["baseline"] = None if self.baseline is None else self.baseline.recorded()
        # Whoever looks for a run that is under way looks for this process.
        return {
            **fields,
            "host": socket.gethostname(),
            "boot": boot_id(),
            "pid": os.getpid(),
            "born": process_birth(os.getpid()),
        }


def from_manifest(manifest: Mapping[str, Any]) -> RunPlan:
    """Read back what `RunPlan.manifest` gave."""
    fields = {name: manifest[name] for name in RunPlan.__slots__ if name in manifest}
    for name in ("candidate", "baseline"):
        if fields[name] is not None:
            fields[name] = target_from_json(fields[name])
    for name in ("hosts", "locks", "env", "paths"):
        fields[name] = tuple(fields[name])
    fields["environment"] = tuple((name, digest) for name, digest in fields.get("environment") or ())
    # Before there were modes, a manifest said what became of models, and nothing else could be chosen.
    fields["modes"] = modes_from_json(manifest.get("modes") or {"model": manifest.get("model", "live")})
    fields["matching"] = rules_from_json(fields.get("matching"))
    # Before there was pinning, nothing was held still.
    fields["pinning"] = pinning_from_json(manifest.get("pinning") or {"seed": UNSEEDED})
    # Before there were limits, two of them stood by themselves.
    fields["limits"] = limits.from_json(
        manifest.get("limits")
        or {name: manifest[name] for name in ("deadline", "memory_bytes") if name in manifest}
    )
    fields["sampling"] = sampling_from_json(manifest.get("sampling"))
    fields["effects"] = effects_from_json(manifest.get("effects"))
    fields["created"] = datetime.fromisoformat(fields["created"])
    fields["cases"] = tuple(Case(*case) for case in manifest["cases"])
    return RunPlan(**fields)
