"""Answers that nobody recorded: for exploring what an agent would do next, and never for judging it.

The rules:

1. Only a read that the recording does not hold is simulated; a write never is.
2. The answer is that of a function which the user names, or the result of the nearest recorded call. Measured on real
   agents the nearest is right in less than one case of ten: it keeps a case going, and proves nothing.
3. Each simulated call carries the tier `simulated`, and its case is left out of what the gate counts.
4. The function runs in the worker, behind the same locks as the agent. What it raises is what the tool raises.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from auditlog.interception import Call, Raised, Served
from auditlog.values import Json
from replay.errors import TargetError
from replay.matching.recorded import Recorded
from replay.matching.restore import NotRestorable
from replay.matching.revive import error_of
from replay.sandbox.answers import TIER, value_again
from replay.sandbox.modes import SIMULATED

Simulator = Callable[[Call, Recorded | None], Served | Raised | None]
"""Answers a missed read, given the nearest recorded call; None where it has nothing to say."""

_FACTS: Mapping[str, Json] = {TIER: SIMULATED}


def nearest_recorded(call: Call, nearest: Recorded | None) -> Served | Raised | None:  # noqa: ARG001 - a Simulator
    """Answer with what the nearest recorded call gave."""
    if nearest is None or nearest.unservable is not None:
        return None
    facts = {**_FACTS, "auditlog.replay.served_span_id": nearest.span_id}
    if nearest.fault is not None:
        return Raised(error_of(nearest.fault), facts)
    try:
        return Served(value_again(nearest), facts)
    except NotRestorable:
        return None


def simulator_at(path: str) -> Simulator:
    """Give the simulator that is made of a user's function.

    Args:
        path: `module:function`. It is called with the tool's name, the arguments as a mapping, and the nearest recorded call
            as a mapping of `arguments` and `output`, or None.

    Raises:
        TargetError: it is not there, or nothing that can be called.
    """
    module_name, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise TargetError(f"The simulator {path} cannot be imported: {error}.") from None
    if not callable(found):
        raise TargetError(
            f"The simulator {path} is a {type(found).__name__}, and nothing that can be called."
        )
    function: Callable[..., Any] = found

    def simulate(call: Call, nearest: Recorded | None) -> Served | Raised:
        near = None if nearest is None else {"arguments": nearest.arguments, "output": nearest.output}
        try:
            return Served(function(call.operation.name, dict(call.arguments), near), _FACTS)
        except Exception as error:  # noqa: BLE001 - rule 4
            return Raised(error, _FACTS)

    return simulate
