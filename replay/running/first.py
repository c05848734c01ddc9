"""The first thing that a worker does in an environment that is not ours: it takes the kernel's locks.

What the worker itself imports of other people's packages comes from that environment, and so is a commit's to choose: it runs
behind these locks. This module and what it imports need nothing but Python's own.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from replay.pipes import HEAD, read_exactly
from replay.sandbox import kernel
from replay.sandbox.hosts import AllowedHosts, Host
from replay.sandbox.kernel_locks import take_kernel_locks


class Begun(NamedTuple):
    """What is done when the worker's own modules are imported."""

    message: dict[str, Any]
    """The run's first."""
    hosts: AllowedHosts
    held: tuple[str, ...]
    """The kernel's locks that took hold."""


begun: Begun | None = None
"""None where a worker takes all its locks together."""


def begin(reading: int, parent: int) -> None:
    """Read what the worker is to be, and take the kernel's locks.

    Args:
        reading: the descriptor that the run speaks to.
        parent: the run's process id.
    """
    global begun  # noqa: PLW0603 - it is said once to the worker, which is another module
    kernel.die_with_parent(parent)
    head = read_exactly(reading, HEAD.size)
    body = None if head is None else read_exactly(reading, HEAD.unpack(head)[0])
    if body is None:
        return
    message = json.loads(body)
    hosts = AllowedHosts(Host(name, port) for name, port in message["hosts"])
    hosts.pin()
    begun = Begun(message, hosts, take_kernel_locks(message["locks"], message["scratch"], hosts))
