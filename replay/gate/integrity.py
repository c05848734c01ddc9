"""Whether a run can carry a verdict at all: complete, its cases untouched, its baseline faithful, its sandbox tight.

The rules:

1. A run that is not complete, whose case list is not the one that it was planned with, or whose recordings were taken away
   since, is INCONCLUSIVE. So is one without a baseline that was run again.
2. The baseline against its own recording is the fidelity bar: where it stops short too often, the replay is no stand-in.
3. Cases that were not served to their end: above the policy's share, or differing between the arms (exact McNemar,
   p < 0.05), is INCONCLUSIVE.
4. A case in which something tried to leave the sandbox, or in which an answer was made up, never counts for a pass.
5. None of this can be waived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from replay import stats
from replay.gate.check import Check, Example, Outcome
from replay.gate.facts import CaseFacts
from replay.gate.policy import Policy
from replay.gate.wording import number, share
from replay.running.cases import cases_digest

_LEVEL = 0.05


def run_checks(
    manifest: Mapping[str, Any], status: str, cases: Sequence[CaseFacts], policy: Policy
) -> Iterator[Check]:
    """Judge the run itself.

    Args:
        manifest: the run's.
        status: `complete`, `running` or `interrupted`.
        cases: what became of them.
        policy: what is asked.
    """
    yield _complete(manifest, status, cases)
    yield _case_list(manifest)
    yield _recordings(cases)
    if manifest.get("baseline") is not None:
        yield _fidelity(cases, policy)
    yield _divergence(cases, policy)
    yield _sandbox(cases)


def _check(check_id: str, title: str, outcome: Outcome, sentence: str, **more: Any) -> Check:
    return Check(f"run.{check_id}", "run", title, outcome, sentence, waivable=False, **more)


def _complete(manifest: Mapping[str, Any], status: str, cases: Sequence[CaseFacts]) -> Check:
    run_id = manifest["run_id"]
    if manifest.get("baseline") is None:
        return _check(
            "complete", "complete, with a baseline", "INCONCLUSIVE",
            "The candidate was compared with the recording: no baseline was run again, so a change cannot be told from "
            "chance. Run it with --baseline.",
        )  # fmt: skip
    if status != "complete":
        done = sum(1 for case in cases if case.candidates and case.baselines)
        return _check(
            "complete", "complete, with a baseline", "INCONCLUSIVE",
            f"The run is {status}: {done:,} of {number(len(cases), 'case')} are done. "
            f"`auditlog replay run --resume {run_id}` goes on with it.",
            figures={"done": done, "cases": len(cases)},
        )  # fmt: skip
    return _check(
        "complete", "complete, with a baseline", "PASS", f"All {number(len(cases), 'case')} ran in both arms.",
        figures={"cases": len(cases)},
    )  # fmt: skip


def _case_list(manifest: Mapping[str, Any]) -> Check:
    found = cases_digest(manifest["cases"])
    kept = manifest.get("cases_digest")
    if found == kept:
        return _check(
            "cases", "case list frozen", "PASS", f"The case list is the one that was planned ({found[:12]}…).",
            figures={"digest": found},
        )  # fmt: skip
    return _check(
        "cases", "case list frozen", "INCONCLUSIVE",
        f"The case list has the digest {found[:12]}…, and the run was planned with {str(kept)[:12]}…: it is another list. "
        "`auditlog verify` says whether the store was changed; run it anew.",
        figures={"digest": found, "planned": kept},
    )  # fmt: skip


def _recordings(cases: Sequence[CaseFacts]) -> Check:
    lost = [case for case in cases if case.lost]
    if not lost:
        return _check(
            "recordings", "recordings there", "PASS", "Every case's recording is there, and can be replayed."
        )
    examples = tuple(Example(case.case_id, _where(case), case.lost) for case in lost[:10])
    gone = [case for case in lost if not case.candidates or not any(run.cut for run in case.candidates)]
    counted = f"{len(lost):,} of {number(len(cases), 'case')} ({share(len(lost) / len(cases))})"
    return _check(
        "recordings", "recordings there", "INCONCLUSIVE" if gone else "PASS",
        f"The recordings of {counted} cannot be replayed (any more), such as because {lost[0].lost}."
        + (" They were there when the run was: run it anew over what is left." if gone else " They count as not served."),
        warning=True, figures={"lost": len(lost), "since": len(gone)}, examples=examples,
    )  # fmt: skip


def _fidelity(cases: Sequence[CaseFacts], policy: Policy) -> Check:
    ran = [case for case in cases if case.baselines]
    short = [case for case in ran if case.baselines[0].cut or (case.baselines[0].failed and not case.lost)]
    part = len(short) / len(ran) if ran else 1.0
    over = part > policy.most_unfaithful
    said = f"The baseline stops short of its own recording in {len(short):,} of {number(len(ran), 'case')} ({share(part)})"
    ending = (
        f"; the bar is {share(policy.most_unfaithful)}. The replay is no stand-in for what was recorded: "
        "`auditlog replay verify` says where it breaks."
        if over
        else f"; the bar is {share(policy.most_unfaithful)}."
    )
    return _check(
        "fidelity", "baseline faithful to the recording", "INCONCLUSIVE" if over else "PASS", said + ending,
        figures={"short": len(short), "cases": len(ran), "share": part, "bar": policy.most_unfaithful},
    )  # fmt: skip


def _divergence(cases: Sequence[CaseFacts], policy: Policy) -> Check:
    sides = [
        (any(run.cut for run in case.of("baseline")), any(run.cut for run in case.candidates))
        for case in cases
        if case.candidates and case.of("baseline")
    ]
    total = len(sides) or 1
    old, new = (sum(side[at] for side in sides) / total for at in (0, 1))
    b, c = sum(o and not n for o, n in sides), sum(n and not o for o, n in sides)
    p = stats.mcnemar_exact(b, c)
    figures = {
        "baseline": old,
        "candidate": new,
        "only_baseline": b,
        "only_candidate": c,
        "p": p,
        "bar": policy.most_diverged,
    }
    said = f"Not served to the end: {share(old)} of the cases in the baseline, {share(new)} in the candidate"
    if max(old, new) > policy.most_diverged:
        ending = f"; above {share(policy.most_diverged)} too much of the run is unknown."
    elif p < _LEVEL:
        ending = f"; that differs between the arms (p = {p:.2g}), so what is known of them is not alike."
    else:
        return _check("divergence", "served to the end", "PASS", f"{said} (p = {p:.2g}).", figures=figures)
    ending += " `auditlog replay diff` shows what the recording does not hold."
    return _check("divergence", "served to the end", "INCONCLUSIVE", said + ending, figures=figures)


def _sandbox(cases: Sequence[CaseFacts]) -> Check:
    left = [case for case in cases if any(run.status == "invalid" for run in case.runs)]
    made_up = sum(1 for case in cases if any(run.simulated for run in case.runs))
    figures = {"invalid": len(left), "simulated": made_up}
    if left:
        return _check(
            "sandbox", "sandbox tight", "INCONCLUSIVE",
            f"In {number(len(left), 'case')} something tried to leave the sandbox; what they did proves nothing. "
            "`auditlog replay diff` says what was refused.",
            figures=figures, examples=tuple(Example(c.case_id, _where(c), "tried to leave the sandbox") for c in left[:10]),
        )  # fmt: skip
    if made_up:
        return _check(
            "sandbox", "nothing made up", "INCONCLUSIVE",
            f"{number(made_up, 'case')} got answers that were simulated, which never gate. Run without `simulate`.",
            figures=figures,
        )  # fmt: skip
    return _check(
        "sandbox",
        "sandbox tight",
        "PASS",
        "Nothing tried to leave the sandbox, and nothing was made up.",
        figures=figures,
    )


def _where(case: CaseFacts) -> str:
    return f"{case.conversation_id} turn {case.turn_index + 1}"
