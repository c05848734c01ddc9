"""What a comparison of two behaviours says, as values: Step, StepDiff, TextDiff, Diff.

The rules:

1. Pure values, made by `replay.diff` from recorded turns; nothing here reads a store.
2. A step is something the agent did: a tool call, a retrieval, a hand-off, and last its answer. Model calls are
   how it decided, and are not steps.
3. `first_divergence` is the first step that behaves differently; the steps after it are its consequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from auditlog.values import Document, Effect, Fault, Json

CaseClass = Literal[
    "identical",
    "cosmetic",
    "arguments",
    "missing",
    "extra",
    "reordered",
    "blocked",
    "errored",
    "no-recording",
    "unstable",
]
CLASSES: tuple[CaseClass, ...] = get_args(CaseClass)

CaseStatus = Literal["complete", "diverged", "blocked", "errored", "unreplayable", "invalid"]
"""How a case's execution ended; `invalid` is one in which something tried to leave the sandbox."""
CUT: frozenset[CaseStatus] = frozenset(("diverged", "blocked", "unreplayable", "invalid"))
"""How executions end that the sandbox ended before the agent did: what did not happen in them says nothing."""

StepOp = Literal["same", "arguments", "missing", "extra", "reordered"]


@dataclass(frozen=True, slots=True)
class Match:
    """How a replay found the recorded answer of a call, or why it found none."""

    rules: tuple[str, ...] = ()
    """The declared rules that made a recorded call the same, such as `lower /name`."""
    miss: str = ""
    """Why nothing answered; empty where something did."""
    hint: str = ""
    """Which rule would have served it, or came closest."""
    nearest_span_id: str = ""
    """The recorded call that came nearest."""
    patch: tuple[Mapping[str, Json], ...] = ()
    """From its arguments to those asked for, as an RFC 6902 patch."""
    patch_size: int = 0
    """How many operations there would be, where not all of them were kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the agent did."""

    kind: Literal["tool", "retriever", "handoff", "answer"]
    name: str
    """The tool's or retriever's name; `answer` for the final text."""
    arguments: Json = None
    result: Json = None
    documents: tuple[Document, ...] = ()
    fault: Fault | None = None
    effect: Effect | None = None
    text: str = ""
    """The answer's text, for kind `answer`."""
    span_id: str = ""
    match_tier: str | None = None
    """In a replay: how the recording served it (`exact`, `normalised`, `reuse`), or `miss` or `blocked`."""
    match: Match | None = None
    """In a replay, where there is more to say of it."""


@dataclass(frozen=True, slots=True)
class PathChange:
    """One difference between two JSON values."""

    path: str
    """An RFC 6901 pointer, such as `/items/0/amount`; empty for the whole value."""
    op: Literal["add", "remove", "replace"]
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True)
class DocumentsDiff:
    """How two retrievals differ, in their documents and their order."""

    added: tuple[str, ...] = ()
    """Ids of documents that only the candidate retrieved."""
    removed: tuple[str, ...] = ()
    overlap: float = 1.0
    """Share of the baseline's top k that the candidate's top k holds, k the shorter length."""
    jaccard: float = 1.0
    """Jaccard index over content digests."""
    rbo: float = 1.0
    """Rank-biased overlap, extrapolated, p = 0.9."""


@dataclass(frozen=True, slots=True)
class TextHunk:
    """A run of text that both sides share, or in which they differ."""

    op: Literal["equal", "insert", "delete", "replace"]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TextDiff:
    """Two texts, aligned by sentences and then by words."""

    hunks: tuple[TextHunk, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the texts differ at all."""
        return any(hunk.op != "equal" for hunk in self.hunks)


@dataclass(frozen=True, slots=True)
class StepDiff:
    """One aligned pair of steps."""

    op: StepOp
    before: Step | None
    after: Step | None
    changes: tuple[PathChange, ...] = ()
    """The arguments that differ."""
    result_changes: tuple[PathChange, ...] = ()
    documents: DocumentsDiff | None = None
    text: TextDiff | None = None
    """For the answer: how its words differ."""
    consequence: bool = False
    """It stands after the first divergence, and is folded on screens."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change that matters whatever the words are."""

    kind: Literal[
        "new write",
        "lost write",
        "write blocked",
        "changed money",
        "lost escalation",
        "new escalation",
        "unsupported number",
        "unsupported date",
        "new error",
        "tool error",
        "other documents",
    ]
    detail: str
    """One sentence, with the tool or the value it is about."""
    step: int | None = None
    """Index into `Diff.steps`."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity on both sides; None where a side did not report it."""

    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Diff:
    """How one behaviour differs from another."""

    case_class: CaseClass
    steps: tuple[StepDiff, ...] = ()
    """Every aligned step; the answer (or answers) among them in order."""
    first_divergence: int | None = None
    """Index into `steps` of the first step that behaves differently; None where none does."""
    summary: str = ""
    """One line that says the first divergence, such as `step 3: issue_refund /amount 40 → 400`."""
    group: str = ""
    """What cases with the same first divergence share, such as `arguments issue_refund /amount`."""
    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """`cost_usd`, `latency_ms`, `input_tokens`, `output_tokens`, `model_calls`, `tool_calls`."""

    @property
    def behaves_differently(self) -> bool:
        """Whether more than the words differ, or a finding makes the words matter."""
        return self.case_class not in ("identical", "cosmetic") or bool(self.findings)
