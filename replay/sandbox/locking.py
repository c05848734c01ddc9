"""Takes the locks of a worker, in their order, before anything of the agent's is imported.

The rules:

1. The kernel's locks come first.
2. Every lock that took hold is named; what a machine does not give is not claimed.
"""

from __future__ import annotations

from collections.abc import Collection

from auditlog import interception
from replay.sandbox import rules
from replay.sandbox.guard import Guard
from replay.sandbox.hosts import AllowedHosts
from replay.sandbox.intercept import CaseInterceptor
from replay.sandbox.kernel_locks import take_kernel_locks
from replay.sandbox.side_doors import close_side_doors, second_loading
from replay.sandbox.state import ProcessState
from replay.sandbox.threads import notice_bare_starts


def take_locks(
    wanted: Collection[str],
    scratch: str,
    hosts: AllowedHosts,
    process: ProcessState,
    kernels: tuple[str, ...] | None = None,
) -> tuple[tuple[str, ...], Guard | None]:
    """Take the locks of this process; there is no way back.

    Args:
        wanted: their names, as in `LOCKS`.
        scratch: the directory that may be written.
        hosts: the hosts that may be reached, pinned.
        process: where refusals are remembered.
        kernels: those of the kernel that are taken already; None to take them here.

    Returns:
        The locks that took hold, and the guard, where it is among them.
    """
    if kernels is None:
        kernels = take_kernel_locks(wanted, scratch, hosts)
    held = ["environment", *kernels]
    if "intercept" in wanted:
        interception.install(CaseInterceptor(process))
        held.append("intercept")
    if "threads" in wanted:
        notice_bare_starts()
        held.append("threads")
    if "guard" not in wanted:
        return tuple(held), None
    table = {**rules.rules([scratch], hosts), "import": second_loading}
    guard = Guard(process, table, rules.native_rules())
    close_side_doors(guard.refuse, rules.attached_database([scratch]))
    guard.install()
    return (*held, "guard"), guard
