"""What a run may take: time, memory, money, tokens, and how fast it may ask a model.

The rules:

1. A case has a deadline and, where one is given, a limit of memory: what exceeds them costs its case.
2. A run has budgets: money, tokens, time. When one is used up, nothing more is handed out, what is under way ends and
   counts, and the run's status is `budget`. The same run goes on with a larger one.
3. Money and tokens are what live model calls of the run were recorded to take, by whichever process of it; what a recording
   answers costs nothing. A call that does not say what it costs counts as nothing, and the run says so.
4. Rates are shared by all workers of a run (see `rates`), and what fails because of the infrastructure is tried again (see
   `retrying`).
5. None of this can change what a case's result means, so none of it is part of a run's configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from replay.errors import RunError

DEADLINE_SECONDS = 60.0

RETRIES = 2
"""How often an execution is tried again whose model's infrastructure failed."""

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)\s*(rpm|tpm)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take."""

    deadline: float | None = None
    """Seconds that a case may take; `DEADLINE_SECONDS` where it is not said."""
    memory_bytes: int | None = None
    """What a worker may address."""
    max_usd: float | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    """How long one process of the run may take."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    retries: int | None = None
    """`RETRIES` where it is not said."""

    @property
    def case_seconds(self) -> float:
        """How long a case may take."""
        return DEADLINE_SECONDS if self.deadline is None else self.deadline

    @property
    def most_retries(self) -> int:
        """How often an execution is tried again."""
        return RETRIES if self.retries is None else self.retries

    @property
    def paces(self) -> bool:
        """Whether a live model call must ask before it begins."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @property
    def counts(self) -> bool:
        """Whether the run ends by what its model calls take."""
        return self.max_usd is not None or self.max_tokens is not None

    def over(self, before: Limits) -> Limits:
        """Give the limits of a run from here on: these where they say something, those that it had otherwise."""
        said = {name: value for name in Limits.__slots__ if (value := getattr(self, name)) is not None}
        return replace(before, **said)

    def refuse_nonsense(self) -> None:
        """Look at the figures.

        Raises:
            RunError: one has no meaning.
        """
        if self.case_seconds <= 0:
            raise RunError(f"A deadline is a number of seconds above 0, and not {self.case_seconds:g}.")
        for name in (
            "memory_bytes",
            "max_usd",
            "max_tokens",
            "max_seconds",
            "requests_per_minute",
            "tokens_per_minute",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RunError(f"The limit {name} is a number above 0, and not {value:g}.")
        if self.most_retries < 0:
            raise RunError(
                f"A failed call is tried again a number of times from 0, and not {self.most_retries}."
            )


NO_LIMITS = Limits()
"""None but a case's deadline."""


def with_rates(limits: Limits, texts: Iterable[str]) -> Limits:
    """Give limits with rates as they are written on a command line, such as `60rpm` or `90ktpm`.

    Raises:
        RunError: a text is no rate.
    """
    for text in texts:
        found = _RATE.fullmatch(text.strip())
        if found is None:
            msg = f"{text!r} is no rate. Write requests a minute, such as 60rpm, or tokens a minute, such as 90ktpm."
            raise RunError(msg)
        number = float(found[1]) * _TIMES[found[2].lower()]
        if found[3].lower() == "rpm":
            limits = replace(limits, requests_per_minute=number)
        else:
            limits = replace(limits, tokens_per_minute=number)
    return limits


def from_json(fields: Mapping[str, Any]) -> Limits:
    """Read back what `asdict` gave; what an older version does not know of keeps its default."""
    return Limits(**{name: fields[name] for name in Limits.__slots__ if name in fields})


class Spend(NamedTuple):
    """What live model calls took."""

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0
    unpriced: int = 0
    """Calls that did not say what they cost."""
    untold: int = 0
    """Calls that did not say how many tokens they took: those that failed, above all."""

    def plus(self, other: Spend) -> Spend:
        """Add up."""
        return Spend(
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.calls + other.calls,
            self.unpriced + other.unpriced,
            self.untold + other.untold,
        )


NOTHING_SPENT = Spend()


Budget = Literal["max_usd", "max_tokens", "max_seconds"]


def used_up(limits: Limits, spend: Spend, seconds: float) -> Budget | None:
    """Give the budget that is used up; None where there is something left of each.

    Args:
        limits: the run's.
        spend: what its model calls took so far.
        seconds: how long this process of it has taken.
    """
    taken: Mapping[Budget, float] = {"max_usd": spend.usd, "max_tokens": spend.tokens, "max_seconds": seconds}
    for name, amount in taken.items():
        limit = getattr(limits, name)
        if limit is not None and amount >= limit:
            return name
    return None
