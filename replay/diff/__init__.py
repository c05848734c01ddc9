"""Comparing two behaviours of an agent: `compare` and what it is made of.

The rules:

1. Pure: values in, values out. No clock, file, store or screen.
2. What callers need is named here; the modules behind it may change.
"""

from __future__ import annotations

from replay.diff.align import align
from replay.diff.compare import compare
from replay.diff.documents import documents_diff, rbo_ext
from replay.diff.json_diff import canonical, json_diff
from replay.diff.model import (
    CLASSES,
    CaseClass,
    CaseStatus,
    Diff,
    DocumentsDiff,
    Finding,
    Measure,
    PathChange,
    Step,
    StepDiff,
    TextDiff,
    TextHunk,
)
from replay.diff.noise import NoiseRow, NoiseTable, is_unstable, noise_table, with_noise
from replay.diff.steps import steps_of
from replay.diff.text import text_diff

__all__ = [
    # What to call.
    "compare",
    "steps_of",
    "text_diff",
    "json_diff",
    "documents_diff",
    "align",
    "canonical",
    "rbo_ext",
    "is_unstable",
    "with_noise",
    "noise_table",
    # What comes back.
    "CLASSES",
    "CaseClass",
    "CaseStatus",
    "Diff",
    "DocumentsDiff",
    "Finding",
    "Measure",
    "NoiseRow",
    "NoiseTable",
    "PathChange",
    "Step",
    "StepDiff",
    "TextDiff",
    "TextHunk",
]
