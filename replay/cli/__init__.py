"""`auditlog replay`: runs recorded turns again, and shows what behaves differently.

The rules:

1. What a run finds is data and goes to stdout; how far it is, and what to know about it, goes to stderr.
2. A run that ends with differences has done its work: the exit code is 0. `diff --fail-on-difference` makes of a
   difference a 1 (one that the baseline's own noise explains is none), and a `verify` that is not identical is a 1,
   since it says that the harness does not hold.
3. Ctrl-C keeps what is done, exits with 130 and says how to go on.
4. What a command needs is imported when it runs, so that `--help` is cheap.
"""

from __future__ import annotations

import click

from replay.cli.cache import cache
from replay.cli.forking import control, fork
from replay.cli.groups import OrderedGroup
from replay.cli.reading import compare, diff, ls, show
from replay.cli.running import run, verify
from replay.cli.scoring import calibrate, score, scorers


@click.group(cls=OrderedGroup)
def replay() -> None:
    """Run recorded turns against another version, and see what differs.

    Reads are served from the recording, writes are blocked, and the network is closed.
    """


for _command in (run, verify, control, fork, ls, show, diff, compare, score, scorers, calibrate, cache):
    replay.add_command(_command)
