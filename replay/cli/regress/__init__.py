"""`auditlog regress`: keeps a set of recorded turns that must go on going right, and replays it.

The rules:

1. `regress run` ends with its verdict as `gate` does: 0 PASS, 1 FAIL, 2 INCONCLUSIVE; 3 is an error, a mistyped command among
   them.
2. Of a sealed case nothing is shown but that it is there and how it came out. `show --unsealed` shows it, and the ledger keeps
   who did that.
3. What a command needs is imported when it runs, so that `--help` is cheap.
"""

from __future__ import annotations

import click

from replay.cli.groups import OrderedGroup
from replay.cli.regress.keeping import add, history, ls, rm, show
from replay.cli.regress.running import judge, run


@click.group(cls=OrderedGroup)
def regress() -> None:
    """Keep recorded turns that must go on going right, with what is expected of each, and replay them."""


for _command in (add, ls, show, rm, history, run, judge):
    regress.add_command(_command)
