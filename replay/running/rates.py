"""Leases: how fast all workers of a run together may ask a model.

The rules:

1. One lease-giver lives in the run's process. A worker asks it, over its pipe, before each live model call, and waits.
2. Requests and tokens each have a bucket that fills by the second and holds a second's worth (one call at least): no minute
   has more of them than the rate and that second.
3. How many tokens a call takes is known only when its case is over. Until then it is taken to be what calls took on
   average; the difference is put right when it is known, and a bucket in debt gives nothing. A call that failed took nothing,
   and says nothing of what calls take.
4. Leases are given in the order in which they were asked for.
5. The time that a call waits for its lease is not its case's: it does not count against the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replay.running.limits import Limits, Spend

_FIRST_GUESS = 500.0
"""Tokens of a call, before one is known."""


class Bucket:
    """An amount that fills by the second; in debt, it gives nothing."""

    def __init__(self, per_minute: float, clock: Callable[[], float], *, empty: bool = False) -> None:
        """Begin full.

        Args:
            per_minute: how much it takes in.
            clock: seconds, never backwards.
            empty: begin empty instead, since nobody knows what was given before.
        """
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second)
        self._level = 0.0 if empty else self._most
        self._clock = clock
        self._at = clock()

    def wait(self) -> float:
        """Say in how many seconds something may be taken."""
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._at) * self._per_second)
        self._at = now
        missing = min(1.0, self._most) - self._level
        # What rounding leaves must not make anybody wait for no time at all, again and again.
        return 0.0 if missing <= 1e-9 else max(missing / self._per_second, 1e-3)

    def take(self, amount: float) -> None:
        """Take an amount, or give it back where it is negative."""
        self._level -= amount


class Leases:
    """Gives leases to the workers of one run."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float] | None = None, *, again: bool = False
    ) -> None:
        """Begin with nothing leased.

        Args:
            limits: the run's rates.
            clock: seconds, never backwards; by default the event loop's.
            again: another one gave leases of this run before, and is gone.
        """
        clock = clock or asyncio.get_running_loop().time
        self._clock = clock
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = None if requests is None else Bucket(requests, clock, empty=again)
        self._tokens = None if tokens is None else Bucket(tokens, clock, empty=again)
        self._turn = asyncio.Lock()
        self._known = 0.0
        self._calls = 0
        self._reserved = 0.0
        self._open = 0

    @property
    def _guess(self) -> float:
        return self._known / self._calls if self._calls else _FIRST_GUESS

    async def take(self) -> float:
        """Wait until one more call may begin; give how many seconds that took."""
        began = self._clock()
        async with self._turn:
            buckets = [bucket for bucket in (self._requests, self._tokens) if bucket is not None]
            while (left := max((bucket.wait() for bucket in buckets), default=0.0)) > 0:  # noqa: ASYNC110 - how long is known
                await asyncio.sleep(left)
            if self._requests is not None:
                self._requests.take(1)
            if self._tokens is not None:
                guess = self._guess
                self._tokens.take(guess)
                self._reserved, self._open = self._reserved + guess, self._open + 1
        return self._clock() - began

    def settle(self, spend: Spend) -> None:
        """Put right what leased calls took that are over."""
        calls, tokens, untold = spend.calls, spend.tokens, spend.untold
        if self._tokens is None or not calls:
            return
        # What calls that are over had been taken to take: their part of what all that are not settled had been.
        reserved = self._reserved * min(1.0, calls / self._open) if self._open else 0.0
        self._reserved, self._open = self._reserved - reserved, max(0, self._open - calls)
        self._tokens.take(tokens - reserved)
        self._known, self._calls = self._known + tokens, self._calls + calls - untold
