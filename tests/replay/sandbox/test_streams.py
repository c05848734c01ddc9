"""Recorded streams as answers: to their end, from half-way, and where they failed."""

from __future__ import annotations

import pytest

from replay.sandbox.modes import SERVING


def ended(report):
    """Give how each case ended, why, and what the agent said."""
    return [(case.status, case.why, case.candidate[0].answer_text) for case in report.cases]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("leaf A", "['one', 'two', 'three']"),
        ("begin A", "one"),
        ("leaf torn", "['one', 'two', 'no page three']"),
    ],
)
def test_a_stream_is_served_as_its_reader_had_it(question, said, recorded_desk, run_desk):
    """Its items come again, as many as are asked for, and it fails where it failed."""
    store = recorded_desk([question])
    report = run_desk(store, "desk", SERVING)
    assert [("complete", "", said)] == ended(report)
    assert ["identical"] == [case.diff.case_class for case in report.cases]


def test_a_stream_that_was_left_has_no_end_to_serve(recorded_desk, run_desk):
    """Who reads on from where it was left gets no shorter stream: its case is not replayable, and says why."""
    store = recorded_desk(["begin A"])
    ((status, why, _),) = ended(run_desk(store, "thorough", SERVING))
    assert ("unreplayable", True) == (status, "pages cannot be served to its end: its reader left it" in why)
