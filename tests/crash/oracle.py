"""What has to hold of a store after any crash: what a reader shows, before and after a sealer has run."""

import pyarrow.parquet as pq

from auditlog import layout as layouts
from auditlog.integrity.verify import verify
from auditlog.ledger.keys import read_checkpoint
from auditlog.ledger.ledger import append_entry, read_ledger
from auditlog.sealing import seal
from auditlog.store.live import LiveRows


class PromiseError(AssertionError):
    """What a crash must not do."""


def shown(layout):
    """Give what a reader shows: for each span, whether its START and its END are there; refuse one that shows twice."""
    ledger = read_ledger(layout.entries)
    names = ["trace_id", "span_id", "start_ns", "end_ns"]
    tables = [
        pq.read_table(layout.root / segment.path, columns=names, partitioning=None, use_threads=False)
        for segment in ledger.segments
    ]
    live = LiveRows(layout.journal).read(ledger.sources)
    found = {}
    for table in [*tables, *([live] if live is not None else [])]:
        columns = (table.column(name).to_pylist() for name in names)
        for trace, span, given, end in zip(*columns, strict=True):
            if (trace, span) in found:
                raise PromiseError(f"{span} shows twice")
            found[trace, span] = (given is not None, end is not None)
    return found


def check(root, promised, *, deep=True):
    """Raise PromiseError where a store does not hold what was promised.

    Args:
        root: the store.
        promised: records, as (kind, trace, span), with kind `start` or `end`; ("store",), ("entries", n) and ("gone", stem) too.
        deep: seal and verify, too.
    """
    try:
        if not layouts.Layout(root).settings.exists() and not any(
            promise[0] == "store" for promise in promised
        ):
            return
        layout = layouts.find(root)
        _holds(shown(layout), promised)
        _entries(layout, promised)
        for _, stem in (promise for promise in promised if promise[0] == "gone"):
            if (layout.journal / f"{stem}.wal").exists():
                raise PromiseError(f"the sealed journal {stem} came back")
        if not deep:
            return
        seal.seal(layout)
        again = shown(layout)
        _holds(again, promised)
        _valid(layout)
        _signs(layout)
        report = seal.seal(layout)
        if report.sealed or report.cleaned:
            raise PromiseError("sealing again found something to do")
    except PromiseError:
        raise
    except Exception as error:
        raise PromiseError(f"{type(error).__name__}: {error}") from error


def _holds(found, promised):
    for kind, *place in promised:
        if kind in ("start", "end") and not found.get(tuple(place), (False, False))[kind == "end"]:
            raise PromiseError(f"the {kind} of {place[-1]} is lost")


def _entries(layout, promised):
    told = max((place[0] for kind, *place in promised if kind == "entries"), default=0)
    count = read_ledger(layout.entries).count
    if count < told:
        raise PromiseError(f"the ledger has {count} entries, and had {told}")


def _valid(layout):
    # A hole in what was not synced, with records behind it, looks like damage: it is told, and the file is kept.
    faults = [
        f
        for f in verify(layout, jobs=1).faults
        if not (f.path.startswith("journal/") and "follow the damage" in f.what)
    ]
    if faults:
        raise PromiseError(f"it does not verify: {faults[0]}")


def _signs(layout):
    count = append_entry(layout, {"type": "access", "who": "the oracle"}).count
    checkpoint = read_checkpoint(layout)
    if checkpoint is None or checkpoint.size < count:
        raise PromiseError("the key that store.toml names is not there to sign with")
