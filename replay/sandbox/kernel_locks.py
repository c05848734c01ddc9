"""Takes the kernel's own locks, before anything is imported that is not ours or Python's.

The rules:

1. They hold for this thread and those that it will start, so that it must be the only one.
2. The filter of system calls is the last of them, since the others need what it refuses.
3. This module and what it imports need nothing of other people's packages: those of a commit's environment are the commit's.
"""

from __future__ import annotations

import platform
from collections.abc import Collection

from replay.sandbox import kernel, seccomp
from replay.sandbox.hosts import AllowedHosts


def take_kernel_locks(wanted: Collection[str], scratch: str, hosts: AllowedHosts) -> tuple[str, ...]:
    """Take the kernel's locks of this process; there is no way back.

    Args:
        wanted: the names of all locks that are wanted.
        scratch: the directory that may be written.
        hosts: the hosts that may be reached, pinned.

    Returns:
        The locks that took hold.
    """
    held: list[str] = []
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
    return tuple(held)
