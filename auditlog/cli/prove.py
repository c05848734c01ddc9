"""`auditlog prove`: writes a proof of a conversation or a span that a stranger checks without the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlog.cli.known import checkpoints_of
from auditlog.cli.options import open_store, record_access, store_option
from auditlog.cli.output import destination, narrate
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.store import Store


@click.command()
@click.argument("name", metavar="ID")
@click.option(
    "--out",
    "-o",
    "--output",
    "out",
    metavar="FILE",
    help="Where to write it, and FILE.tlog-proof; stdout where it is not given.",
)
@click.option(
    "--no-content", is_flag=True, help="Prove that the records are there, and show nothing of what was said."
)
@click.option(
    "--known-checkpoint",
    "known",
    multiple=True,
    metavar="FILE|-|TEXT",
    help="A checkpoint that whoever checks the proof has: show that the ledger begins with it.",
)
@click.option("--reason", metavar="TEXT", help="Why, for the access record.")
@store_option
def prove(
    name: str, out: str | None, no_content: bool, known: tuple[str, ...], reason: str | None, store: str
) -> None:
    """Write a proof of a conversation or a span that a stranger checks without the store.

    ID is a conversation's, or a beginning of it that no other has, or a span's. `auditlog verify --proof FILE` checks it.
    """
    from auditlog.cli.formats import json_text
    from auditlog.integrity.prove import prove as make

    seen = [checkpoint for text in known for checkpoint in checkpoints_of(text)]
    with open_store(store) as opened:
        wanted = _wanted(opened, name)
        record_access(opened, "prove", ids=list(wanted.values()), reason=reason)
        proof = make(opened, wanted, content=not no_content, known=seen)
    with destination(out) as output:
        output.write((json_text(proof.document, indent=True) + "\n").encode())
    if out not in (None, "-"):
        assert out is not None
        stem = Path(out).with_suffix("")
        for number, text in enumerate(proof.tlog_proofs):
            place = stem.with_name(f"{stem.name}{f'-{number + 1}' if number else ''}.tlog-proof")
            with destination(str(place)) as output:
                output.write(text.encode())
    narrate(
        f"Proven: {many(proof.spans, 'span')} in {many(len(proof.document['segments']), 'segment')}. "
        "`auditlog verify --proof FILE` checks it."
    )
    if proof.unsealed:
        narrate(f"note: {proof.unsealed} spans are not sealed yet, and are not in the proof")
    if proof.unsigned:
        narrate(
            f"note: {proof.unsigned} spans stand in entries that are not signed yet, and are not in the proof"
        )


def _wanted(store: Store, name: str) -> dict[str, str]:
    """Say what an id is of: a span, or a conversation."""
    found = store.query("SELECT trace_id FROM all_spans WHERE span_id = ? LIMIT 2", [name]).to_pylist()
    if len(found) == 1:
        return {"trace": found[0]["trace_id"], "span": name}
    return {"conversation": store.conversation(name).conversation_id}
