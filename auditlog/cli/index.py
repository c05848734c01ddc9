"""`auditlog index`: makes what lists and searches are quick with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import Progress, narrate, print_line
from auditlog.errors import StoreError

if TYPE_CHECKING:
    from auditlog.store import Store


@click.command()
@click.option("--no-text", is_flag=True, help="Only the index of conversations: no words of what was said.")
@click.option("--remove", is_flag=True, help="Take the indexes away instead.")
@store_option
def index(no_text: bool, remove: bool, store: str) -> None:
    """Index what is sealed: where each conversation lies, what sums it up, and the words that it holds.

    All of it is derived and may be deleted at any time; nothing in it is evidence. Sealing keeps up what is there.
    """
    with open_store(store) as opened:
        if remove:
            opened.remove_index()
            print_line("Removed the indexes.")
            return
        if opened.content_key is not None and not no_text:
            narrate("Content is encrypted here, so no index holds its words: searching reads everything.")
        with Progress("Indexing:") as progress:
            done = opened.update_index(
                text=not no_text,
                wait=True,
                progress=lambda what, done, total: progress.update(done, total, what),
            )
        if not done:
            raise StoreError(
                f"The index in {opened.layout.cache} cannot be made: it cannot be written there, or a sealed file is damaged. "
                "`auditlog verify` tells which; lists and searches do without."
            )
        print_line(_sized(opened))


def _sized(opened: Store) -> str:
    conversations, text = opened.index_bytes()
    spans = sum(segment.rows for segment in opened.segments())
    said = f"; their words, {_megabytes(text)}" if text else ""
    return f"Indexed {spans:,} spans: conversations, {_megabytes(conversations)}{said}."


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
