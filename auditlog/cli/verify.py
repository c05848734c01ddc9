"""`auditlog verify`: says whether a store is what was sealed, and whether anybody outside has seen it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import OwnCodes, Verdict
from auditlog.cli.formats import format_choice
from auditlog.cli.known import checkpoints_of, key_of, read_text
from auditlog.cli.options import store_option
from auditlog.cli.output import Progress, narrate, print_line, styled
from auditlog.safe_text import safe_text

if TYPE_CHECKING:
    from auditlog.integrity.verdict import Report
    from auditlog.ledger.note import Checkpoint, VerifierKey

_COLOURS = {"VALID": "green", "VALID-BUT-UNANCHORED": "yellow", "INVALID": "red", "DIVERGED": "red"}


class _Verify(OwnCodes):
    no_answer = Verdict.NO_ANSWER


@click.command(cls=_Verify)
@click.option("--deep", is_flag=True, help="Make every row's leaf again from its content, and its columns.")
@click.option(
    "--known-checkpoint",
    "known",
    multiple=True,
    metavar="FILE|-|TEXT",
    help="A checkpoint that was kept elsewhere: a note, or a file or log in which some stand.",
)
@click.option(
    "--public-key",
    "--key",
    "public_key",
    metavar="KEY|FILE",
    help="The key to trust, from elsewhere; where it is not given, the one in store.toml.",
)
@click.option("--require-anchor", is_flag=True, help="Exit with 3 where nobody outside has seen this ledger.")
@click.option(
    "--proof", metavar="FILE", help="Check a proof that `auditlog prove` wrote; no store is needed."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="How many processes; one a processor.")
@format_choice("text", "json")
@store_option
def verify(
    deep: bool,
    known: tuple[str, ...],
    public_key: str | None,
    require_anchor: bool,
    proof: str | None,
    jobs: int | None,
    format: str,
    store: str,
) -> None:
    """Say whether the store is what was sealed, and whether anybody outside has seen it.

    \b
    Exits with 0 for VALID and VALID-BUT-UNANCHORED,
              1 for INVALID, naming every file at fault,
              2 for DIVERGED: cut off, rolled back or written anew,
              3 for VALID-BUT-UNANCHORED under --require-anchor,
              4 where there is no outcome: no store, or a command line without meaning.
    """  # noqa: D301 - click's mark for lines that are kept
    seen = [checkpoint for text in known for checkpoint in checkpoints_of(text)] if known else None
    key = key_of(public_key, store) if public_key is not None else None
    if proof is not None:
        code = _proof(proof, seen, key, format)
        raise click.exceptions.Exit(code)
    from auditlog.integrity import verify as verifying

    layout = verifying.place(store)
    with Progress("verifying") as bar:
        report = verifying.verify(layout, known=seen, key=key, deep=deep, jobs=jobs, progress=bar.update)
    if format == "json":
        from auditlog.cli.formats import json_text

        print_line(json_text(_document(report), indent=True))
    else:
        _print(report, store, public_key)
    raise click.exceptions.Exit(
        Verdict.UNANCHORED
        if require_anchor and report.outcome == "VALID-BUT-UNANCHORED"
        else _EXITS[report.outcome]
    )


_EXITS = {
    "VALID": Verdict.OK,
    "VALID-BUT-UNANCHORED": Verdict.OK,
    "INVALID": Verdict.INVALID,
    "DIVERGED": Verdict.DIVERGED,
}


def _print(report: Report, store: str, public_key: str | None) -> None:
    print_line(styled(report.outcome.value, fg=_COLOURS[report.outcome], bold=True) + f"  {safe_text(store)}")
    for fault in report.faults:
        print_line(f"  {safe_text(fault.path)}: {safe_text(fault.what)}")
    for divergence in report.divergences:
        print_line(f"  {safe_text(divergence)}")
    unsigned = f", {report.unsigned:,} not signed yet" if report.unsigned else ""
    print_line(
        f"ledger    {report.entries:,} entries, {report.signed:,} signed{unsigned}; root {report.root}"
    )
    rows = "each made again from its content" if report.deep else "their files' SHA-256 compared"
    print_line(f"segments  {report.segments:,} files, {report.bytes:,} bytes, {report.rows:,} rows, {rows}")
    if report.gone:
        told = ", ".join(f"{count:,} by {kind.upper()}" for kind, count in sorted(report.gone.items()))
        print_line(f"gone      {told}: each explained by an entry")
    if report.key is not None:
        whose = "yours" if public_key is not None else "store.toml's word for it"
        print_line(f"key       {safe_text(report.key)} ({whose})")
    furthest = {anchor.where: anchor for anchor in sorted(report.anchors, key=lambda anchor: anchor.size)}
    for anchor in furthest.values():
        print_line(f"anchor    {safe_text(anchor.where)}: entries up to {anchor.size:,} were seen outside")
    for note in report.notes:
        narrate(f"note: {note}")
    if report.outcome == "VALID-BUT-UNANCHORED":
        narrate(
            "Nobody outside has seen this ledger: whoever holds the key can have written it anew, or cut off its end. "
            "Keep its checkpoint elsewhere (`auditlog anchor`), and give it back with --known-checkpoint."
        )


def _document(report: Report) -> dict[str, Any]:
    return {
        "outcome": report.outcome.value,
        "faults": [fault._asdict() for fault in report.faults],
        "divergences": report.divergences,
        "anchors": [anchor._asdict() for anchor in report.anchors],
        "notes": report.notes,
        "origin": report.origin,
        "key": report.key,
        "root": report.root,
        "entries": report.entries,
        "signed": report.signed,
        "unsigned": report.unsigned,
        "anchored": report.anchored,
        "segments": report.segments,
        "rows": report.rows,
        "bytes": report.bytes,
        "gone": report.gone,
        "deep": report.deep,
    }


def _proof(path: str, known: list[Checkpoint] | None, key: VerifierKey | None, format: str) -> Verdict:
    """Check a proof, say what it proves, and give the exit code."""
    import json

    from auditlog.integrity.proof import check_proof

    try:
        document = json.loads(sys.stdin.read() if path == "-" else read_text(path, "--proof"))
    except (ValueError, RecursionError):
        raise click.BadParameter(f"{path} is no JSON.", param_hint="--proof") from None
    report = check_proof(document, known=known, key=key)
    if format == "json":
        from dataclasses import asdict

        from auditlog.cli.formats import json_text

        print_line(json_text(asdict(report), indent=True))
        return _EXITS[report.outcome]
    print_line(styled(report.outcome.value, fg=_COLOURS[report.outcome], bold=True) + f"  {safe_text(path)}")
    for wrong in (*report.faults, *report.divergences):
        print_line(f"  {safe_text(wrong)}")
    of = ", ".join(f"{kind} {name}" for kind, name in report.of.items())
    print_line(
        f"proves    {report.spans:,} spans and {report.parts:,} parts of their content; {safe_text(of)}"
    )
    print_line(f"ledger    {safe_text(report.origin or '')}, {report.size:,} entries signed")
    whose = "yours" if key is not None else "the proof's word for it"
    print_line(f"key       {safe_text(report.key or '')} ({whose})")
    for note in report.notes:
        narrate(f"note: {note}")
    return _EXITS[report.outcome]
