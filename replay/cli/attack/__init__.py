"""`auditlog attack`: tries what an attacker could say, in the replay sandbox.

The rules:

1. What is found is data and goes to stdout; how far it is goes to stderr.
2. Words of an attack, and of whoever answered, are foreign text: they pass `safe_text` before they are printed.
3. Sealed families are shown by their numbers; their words only with --unsealed, which is in the access log.
4. `run` exits with 1 where an attack worked, so that a pipeline can stop on it, and with 3 where nothing was tried.
5. A campaign is the newest where none is named.
"""

from __future__ import annotations

import click

from replay.cli.attack.folding import keep
from replay.cli.attack.reading import coverage, ls, show
from replay.cli.attack.trying import run
from replay.cli.groups import OrderedGroup


@click.group(cls=OrderedGroup)
def attack() -> None:
    """Try what an attacker could say, and see what works.

    Attacks are laid into recorded turns and run in the replay sandbox: writes are blocked, the network is closed.
    """


for _command in (run, ls, show, coverage, keep):
    attack.add_command(_command)
