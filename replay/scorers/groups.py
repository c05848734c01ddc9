"""Which scorers share a process, and what becomes of each.

The rules:

1. Ours share one; a plug-in has one of its own, so that no stranger's code stands beside a hard check.
2. Scorers that reach hosts are parted by the hosts that they reach: a process reaches those of its own scorers, and no other.
3. What a scorer is, it says itself: ours here, a plug-in in a worker without a network.
4. A scorer that does not load, or asks for a host that is not allowed, keeps its place, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from replay.errors import ScorerError
from replay.sandbox.hosts import parse_host
from replay.scorers.keeping import ScorerInfo
from replay.scorers.model import Scorer, ScorerKey
from replay.scorers.pool import ScoringWorker
from replay.scorers.specs import ScorerSpec, parse, resolve
from replay.scorers.worker import ScoringSetup, described

_START_SECONDS = 30.0


class Means(NamedTuple):
    """What whoever scores gives to scorers."""

    hosts: frozenset[tuple[str, int]]
    paths: tuple[str, ...]
    env: tuple[str, ...]
    expectations: str
    """Their digest."""
    asks: bool = True
    """Whether the scorers will be asked; else only what they are is found out, and no host has to be allowed."""


@dataclass(slots=True)
class ScorerTally:
    """What became of one scorer."""

    info: ScorerInfo | None
    """None where it did not load."""
    spec: ScorerSpec
    error: str = ""
    """Why it did not load, or may not run."""
    scored: int = 0
    unscored: int = 0
    """It had nothing to say."""
    failed: int = 0
    kept: int = 0
    """Executions that were scored before."""
    below: int = 0
    """Scores below 1."""
    first_failure: str = ""
    cost_usd: float = 0.0
    tokens: int = 0


@dataclass(slots=True)
class Group:
    """Scorers that share a process."""

    setup: ScoringSetup
    tallies: list[ScorerTally] = field(default_factory=list)
    scorers: list[Scorer | None] = field(default_factory=list)
    """In-process scoring only."""


def spec_of(one: str | ScorerSpec | Scorer, *, isolated: bool) -> ScorerSpec | Scorer:
    """Read what names a scorer; a scorer itself becomes its import path where it runs in another process.

    Raises:
        ScorerError: it names none, or cannot be imported elsewhere.
    """
    if isinstance(one, str):
        return parse(one)
    if isinstance(one, Scorer) and isolated:
        function = one.function
        target = f"{function.__module__}:{function.__qualname__}"
        if "<locals>" in target or function.__module__ == "__main__":
            msg = (
                f"The scorer {one.name} is defined where no other process can import it ({target}). "
                "Put it into a module, or score with isolated=False."
            )
            raise ScorerError(msg)
        return ScorerSpec(target, one.options, one.name, one.level)
    return one


def grouped(asked: Sequence[ScorerSpec | Scorer], means: Means, *, isolated: bool) -> list[Group]:
    """Part the scorers into groups that share a process."""
    if not isolated:
        return [_here(asked, means)]
    specs = [one for one in asked if isinstance(one, ScorerSpec)]
    ours = tuple(spec for spec in specs if spec.built_in)
    sets = [ours] if ours else []
    sets += [(spec,) for spec in specs if not spec.built_in]
    groups: list[Group] = []
    for chosen in sets:
        groups += _described(chosen, means)
    return groups


def _described(specs: tuple[ScorerSpec, ...], means: Means) -> list[Group]:
    """Find out what the scorers are, and part them by the hosts that they need."""
    parted: dict[tuple[tuple[str, int], ...], Group] = {}
    for spec, said in zip(specs, describe(specs, means.paths), strict=True):
        tally, needed = _tally(spec, said, means)
        setup = ScoringSetup((), paths=means.paths, hosts=needed, env=means.env if needed else ())
        group = parted.setdefault(needed, Group(setup))
        group.tallies.append(tally)
        group.setup = replace(group.setup, specs=(*group.setup.specs, spec))
    return list(parted.values())


def describe(specs: tuple[ScorerSpec, ...], paths: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Say what each scorer is, or `error`. Ours are imported here; others in a worker without a network."""
    if all(spec.built_in for spec in specs):
        return [_described_here(spec) for spec in specs]
    with ScoringWorker(ScoringSetup(specs, paths=paths), _START_SECONDS) as worker:
        try:
            return [*worker.start()]
        except ScorerError as error:
            return [{"error": str(error)}] * len(specs)


def _described_here(spec: ScorerSpec) -> Mapping[str, Any]:
    try:
        return described(resolve(spec))
    except ScorerError as error:
        return {"error": str(error)}


def _tally(
    spec: ScorerSpec, said: Mapping[str, Any], means: Means
) -> tuple[ScorerTally, tuple[tuple[str, int], ...]]:
    if "error" in said:
        return ScorerTally(None, spec, str(said["error"])), ()
    try:
        asked = {(host.name, host.port) for host in map(parse_host, said["hosts"])}
        fields: dict[str, Any] = {**said, "hosts": (), "expects": tuple(said["expects"])}
        info = _info(Scorer(function=_nothing, **fields), means.expectations)
    except Exception as error:  # noqa: BLE001 - a stranger's words
        return ScorerTally(None, spec, f"The scorer {spec} does not say what it is: {error}"), ()
    if means.asks and (missing := sorted(asked - means.hosts)):
        name, port = missing[0]
        why = f"The scorer {info.key.scorer} asks {name}:{port}, which is not allowed. Allow it with --allow-host {name}:{port}."
        return ScorerTally(None, spec, why), ()
    return ScorerTally(info, spec), tuple(sorted(asked))


def _here(asked: Sequence[ScorerSpec | Scorer], means: Means) -> Group:
    group = Group(ScoringSetup(()))
    for one in asked:
        spec = one if isinstance(one, ScorerSpec) else ScorerSpec(one.name)
        try:
            scorer = resolve(one) if isinstance(one, ScorerSpec) else one
        except ScorerError as error:
            group.tallies.append(ScorerTally(None, spec, str(error)))
            group.scorers.append(None)
        else:
            group.tallies.append(ScorerTally(_info(scorer, means.expectations), spec))
            group.scorers.append(scorer)
    return group


def _info(scorer: Scorer, expectations: str) -> ScorerInfo:
    return ScorerInfo(
        scorer.key(expectations), scorer.level, scorer.kind, scorer.summary, judges=scorer.is_judge
    )


def refuse_twins(groups: Sequence[Group]) -> None:
    """Refuse two scorers whose scores could not be told apart.

    Raises:
        ScorerError: naming them.
    """
    seen: set[ScorerKey] = set()
    for tally in (tally for group in groups for tally in group.tallies):
        if tally.info is None:
            continue
        if tally.info.key in seen:
            msg = (
                f"The scorer {tally.info.key.scorer} is named twice with the same options. "
                f"Name it once, or as NAME={tally.spec.target} with others."
            )
            raise ScorerError(msg)
        seen.add(tally.info.key)


def _nothing(*_args: Any, **_options: Any) -> None:
    """Stand in for a function that lives in another process."""
