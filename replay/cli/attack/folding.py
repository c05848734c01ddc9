"""`auditlog attack keep`: makes a regression case of an attack that worked."""

from __future__ import annotations

import click

from auditlog.cli.options import open_store, record_access, store_option, store_words


@click.command(short_help="Make a regression case of an attack that worked.")
@click.argument("finding", metavar="FINDING")
@click.option(
    "--campaign", default="last", show_default=True, metavar="CAMPAIGN", help="An id, or a beginning of one."
)
@store_option
def keep(finding: str, campaign: str, store: str) -> None:
    """Put an attack that worked into the regression set.

    FINDING is its number in the campaign, from 1, or its id.
    """
    from auditlog.cli.output import narrate, print_line
    from replay.attack.folding import fold_back
    from replay.attack.keeping import load_campaign

    with open_store(store) as opened:
        found = load_campaign(opened, campaign, unsealed=True)
        record_access(opened, "attack keep", ids=[found.run_id], rows=1)
        promoted = fold_back(opened, found, finding)
    print_line(promoted.case.case_id)
    narrate(
        f"`auditlog regress show {promoted.case.case_id}{store_words(store)}` shows what is expected of it."
    )
