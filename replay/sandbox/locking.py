"""Takes the locks of a worker, in their order, before anything of the agent's is imported.

The rules:

1. The kernel's locks come first: they hold for this thread and those that it will start, so that it must be the only one.
   Of them the filter of system calls is the last, since the others need what it refuses.
2. Every lock that took hold is named; what a machine does not give is not claimed.
"""

from __future__ import annotations

import platform
from collections.abc import Collection

from auditlog import interception
from replay.sandbox import kernel, rules, seccomp
from replay.sandbox.guard import Guard
from replay.sandbox.hosts import AllowedHosts
from replay.sandbox.intercept import CaseInterceptor
from replay.sandbox.side_doors import close_side_doors, second_loading
from replay.sandbox.state import ProcessState
from replay.sandbox.threads import notice_bare_starts


def take_locks(
    wanted: Collection[str], scratch: str, hosts: AllowedHosts, process: ProcessState
) -> tuple[tuple[str, ...], Guard | None]:
    """Take the locks of this process; there is no way back.

    Args:
        wanted: their names, as in `LOCKS`.
        scratch: the directory that may be written.
        hosts: the hosts that may be reached, pinned.
        process: where refusals are remembered.

    Returns:
        The locks that took hold, and the guard, where it is among them.
    """
    held = ["environment"]
    # Model clients name the platform in a header, for which Python runs `uname` once and remembers it. Here it is no leak.
    platform.platform()
    alone = kernel.alone()
    if "network" in wanted and alone:
        held += kernel.isolate(network=not hosts.hosts)
    if "landlock" in wanted and alone and (version := kernel.landlock([scratch], hosts.ports())):
        held.append(f"landlock {version}")
    if "seccomp" in wanted and alone and kernel.drop_privileges():
        held.append("privileges")
    if "seccomp" in wanted and alone and seccomp.filter_system_calls():
        held.append("seccomp")
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
