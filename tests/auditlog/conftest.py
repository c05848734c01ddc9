"""A recorder whose records a test can read back."""

import pytest

from auditlog import config, interception, normalise
from auditlog.joined import joined
from auditlog.record import decode_record
from auditlog.recorder import ListSink, Recorder


class Recording:
    """What was recorded so far, as column rows by name."""

    def __init__(self, sink):
        self.sink = sink

    @property
    def records(self):
        """Every record, in order."""
        return [decode_record(payload) for payload in self.sink.payloads]

    @property
    def rows(self):
        """One row a span, in order of start."""
        starts, ends = {}, {}
        for record in self.records:
            (ends if record.type == "end" else starts)[record.entry["span"]] = record
        rows = []
        for span_id, record in starts.items():
            whole = record.type == "span"
            entry, parts = joined(None if whole else record, record if whole else ends.get(span_id))
            rows.append(normalise.row(entry, parts))
        return rows

    def named(self, name):
        """Give the first span of a name."""
        return next(row for row in self.rows if row["name"] == name)


@pytest.fixture
def recording():
    """Record into memory for the length of a test."""
    sink = ListSink()
    config.use(Recorder(sink, agent_version="v1"))
    yield Recording(sink)
    config.use(None)
    interception.uninstall()
