"""One case's pinning in a worker: put in place when the case begins, taken away when it is over.

The rules:

1. What is given comes with the case's job; a worker reads nothing for it.
2. What the case asked for and the recording did not have is counted, and goes onto the case's agent span, so that a report can
   say what was not pinned.
3. Whatever became of the case, the process is as it was before when it is over.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, Self

from auditlog import http_calls, pinned
from auditlog.http_models import OVER_HTTP
from auditlog.values import Json, Span, Turn
from replay.errors import TargetError
from replay.matching.callers import Callers
from replay.pinned import clocks, seeds
from replay.pinned.model_cache import CachedAnswers
from replay.pinned.pinning import Pinning, seed_number
from replay.pinned.recorded_values import RecordedValues, values_of
from replay.sandbox.hosts import Host

NOT_PINNED = "auditlog.replay.not_pinned"
"""On a case's agent span: what it asked for that was not pinned, by what it is."""

RANDOM = "random"
"""Random numbers were drawn, and not seeded."""


def given_for(turn: Turn, draw: str, pinning: Pinning) -> dict[str, Any]:
    """Give what a case's job carries for its pinning.

    Args:
        turn: the recorded turn.
        draw: what `draw_of` gave.
        pinning: the run's.
    """
    given: dict[str, Any] = {}
    if values := values_of(turn):
        given["values"] = values
    if pinning.seeds:
        given["seed"] = seed_number(pinning.seed, turn.agent.span_id, draw)
    if pinning.freeze_time:
        given["start_ns"] = turn.agent.start_ns
    if any(map(is_http, turn.spans)):
        given["http"] = True
    return given


def is_http(span: Span) -> bool:
    """Whether a recorded call is undecorated HTTP."""
    if span.kind == "model":
        return OVER_HTTP in span.attributes
    return span.kind == "tool" and span.name.startswith("http ") and "http.request.method" in span.attributes


def prepare(pinning: Pinning, hosts: Iterable[Host]) -> None:
    """Make a worker ready, before the agent is imported.

    Args:
        pinning: the run's.
        hosts: the model hosts that may be reached: a request to a model at any other host is a tool's.
    """
    models = {(host.name, host.port) for host in hosts}
    if models:
        # What may be reached for a model is a door for everything else, too.
        http_calls.serve_http()
    if pinning.freeze_time:
        # Nothing is imported any more once a case runs.
        try:
            import time_machine  # noqa: F401
        except ImportError:
            msg = "--freeze-time needs time-machine in this target's environment: add it to its lock."
            raise TargetError(msg) from None
    http_calls.route(lambda name, port: not models or (name, port) in models)
    if pinning.seeds:
        seeds.install()


class PinnedCase:
    """Holds one case still: a context."""

    cache: CachedAnswers | None
    """Answers the case's models, where those are cached."""

    def __init__(self, given: Mapping[str, Any], *, seeds_ids: bool = True) -> None:
        """Take what `given_for` gave.

        Args:
            given: the job's.
            seeds_ids: whether `uuid` is seeded: not where writes are live.
        """
        self._given = given
        self._seeds_ids = seeds_ids
        self._values = RecordedValues(given.get("values", ()))
        self.cache = CachedAnswers(given["cache"]) if "cache" in given else None
        self._random: object = None
        self._http = False

    def __enter__(self) -> Self:
        """Put everything in place."""
        pinned.serve_from(self._values.give)
        seeds.begin(self._given.get("seed"), ids=self._seeds_ids)
        if "seed" not in self._given:
            self._random = random.getstate()
        self._http = http_calls.is_on()
        if self._given.get("http"):
            http_calls.serve_http()
        if (start := self._given.get("start_ns")) is not None:
            clocks.begin(start)
        return self

    def __exit__(self, *_: object) -> None:
        """Take everything away."""
        clocks.end()
        seeds.end()
        if self._given.get("http") and not self._http:
            http_calls.forget_http()
        pinned.serve_from(None)

    def follow(self, callers: Callers) -> None:
        """Be told the way to each call of the case."""
        self._values.callers = callers

    def facts(self) -> dict[str, Json]:
        """Give what the case's agent span says of it; call it when the case is over."""
        found: dict[str, Json] = dict(self._values.fresh)
        if "seed" not in self._given and random.getstate() != self._random:
            found[RANDOM] = 1
        return {NOT_PINNED: found} if found else {}
