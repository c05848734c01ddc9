"""What a run did not pin, as warnings: what might differ from run to run without anybody's doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from replay.gate.facts import CaseFacts
from replay.gate.wording import number


def unpinned(cases: Sequence[CaseFacts]) -> list[str]:
    """Give one sentence for each kind of thing that was not pinned, the most frequent first."""
    counts = Counter(
        kind for case in cases for kind in {kind for run in case.runs for kind in run.not_pinned}
    )
    return [
        f"Not pinned in {number(count, 'case')}: {kind}. It may differ from run to run without anybody's doing."
        for kind, count in counts.most_common()
    ]
