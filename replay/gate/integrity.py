"""Whether a run can carry a verdict at all: complete, its cases untouched, its baseline faithful, its sandbox tight.

The rules:

1. A run is INCONCLUSIVE that is not complete, that lacks an execution which it planned, whose case list is not the one that it
   was planned with, or whose recordings were taken away since. So is one without a baseline that was run again.
2. A sample stands for the traffic that it was drawn from only where the weights of its cases add up to it. How the cases were
   chosen is always said; where somebody chose among the traffic, that is a warning.
3. The baseline against its own recording is the fidelity bar: where it stops short too often (of what did not fail when it was
   recorded), or does something else than was recorded more often than it does something else than itself, the replay is no
   stand-in. Where it could not be compared, nothing is known of that: from level 2 on INCONCLUSIVE.
4. Cases that were not served to their end: above the policy's share, or differing between the arms (exact McNemar,
   p < 0.05), is INCONCLUSIVE.
5. A case in which something tried to leave the sandbox, or in which an answer was made up (simulated, the error of another
   call, forked), never counts for a pass. Live answers, and those from before or after other writes, count and are told. A run
   that wrote into the world is INCONCLUSIVE: the second arm met what the first had changed.
6. What was to be replaced in a side, and was never asked for, was not tried: INCONCLUSIVE.
7. A version compared with itself shows nothing of a release: from level 2 on INCONCLUSIVE, unless a person signs for it.
8. Which differences `--match` forgives is said. Where it forgives more of a write than free text, another order or account is the
   same write: from level 2 on INCONCLUSIVE, unless a person signs for it.
9. Shares are of the traffic: a case counts for the turns that it stands for. Nothing but rules 7 and 8 can be waived.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from replay import stats
from replay.gate.check import Check, Example, Outcome
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import UNKNOWN, agreement
from replay.gate.policy import Policy
from replay.gate.wording import number, share
from replay.matching.rules import rules_from_json
from replay.running.cases import cases_digest

_LEVEL = 0.05
_MOST_RULES = 5


def run_checks(
    manifest: Mapping[str, Any],
    status: str,
    cases: Sequence[CaseFacts],
    policy: Policy,
    unreached: Sequence[str] = (),
) -> Iterator[Check]:
    """Judge the run itself.

    Args:
        manifest: the run's.
        status: `complete`, `running` or `interrupted`.
        cases: what became of them.
        policy: what is asked.
        unreached: what was to be replaced in a side and was never asked for, in a sentence each.
    """
    yield _complete(manifest, status, cases)
    yield _case_list(manifest)
    yield from _sample(manifest, cases)
    yield _recordings(cases)
    if manifest.get("baseline") is not None:
        yield from _same_version(manifest, policy)
        yield _fidelity(cases, policy)
    yield _divergence(cases, policy)
    yield _sandbox(manifest, cases)
    yield from _forgiven(manifest, cases, policy)
    if unreached:
        yield _check(
            "overrides", "what was replaced", "INCONCLUSIVE", " ".join(unreached[:3]), figures={"unreached": len(unreached)}
        )  # fmt: skip


def _check(check_id: str, title: str, outcome: Outcome, sentence: str, **more: Any) -> Check:
    return Check(f"run.{check_id}", "run", title, outcome, sentence, waivable=False, **more)


def _weighted(cases: Sequence[CaseFacts], of: Sequence[CaseFacts]) -> float:
    """Give the share of the traffic that some cases stand for, among others."""
    total = sum(case.weight for case in of)
    return sum(case.weight for case in cases) / total if total else 0.0


def _complete(manifest: Mapping[str, Any], status: str, cases: Sequence[CaseFacts]) -> Check:
    run_id, title = manifest["run_id"], "complete, with a baseline"
    if manifest.get("baseline") is None:
        return _check(
            "complete", title, "INCONCLUSIVE",
            "The candidate was compared with the recording: no baseline was run again, so a change cannot be told from "
            "chance. Run it with --baseline.",
        )  # fmt: skip
    repeats = int(manifest.get("repeats") or 1)
    lacking = [case for case in cases if _lacks(case, repeats)]
    done = len(cases) - len(lacking)
    figures = {"done": done, "cases": len(cases)}
    if status != "complete":
        return _check(
            "complete", title, "INCONCLUSIVE",
            f"The run is {status}: {done:,} of {number(len(cases), 'case')} are done. "
            f"`auditlog replay run --resume {run_id}` goes on with it.",
            figures=figures,
        )  # fmt: skip
    if lacking:
        return _check(
            "complete", title, "INCONCLUSIVE",
            f"The run says that it is complete, and {number(len(lacking), 'case')} of {len(cases):,} lack an execution: their "
            "results were taken away since, or never written. `auditlog verify` says whether the store was changed; run it anew.",
            figures=figures,
            examples=tuple(Example(case.case_id, case.where, "an execution is missing") for case in lacking[:10]),
        )  # fmt: skip
    return _check(
        "complete", title, "PASS", f"All {number(len(cases), 'case')} ran in both arms.", figures=figures
    )


def _lacks(case: CaseFacts, repeats: int) -> bool:
    arms = ("candidate", "baseline", "baseline_2") if case.sampled else ("candidate", "baseline")
    return any(len({run.repeat for run in case.of(arm)}) < repeats for arm in arms)


def _same_version(manifest: Mapping[str, Any], policy: Policy) -> Iterator[Check]:
    digests = [
        side.get("digest")
        for side in (manifest.get("candidate"), manifest["baseline"])
        if isinstance(side, dict)
    ]
    if len(digests) < 2 or not digests[0] or digests[0] != digests[1]:
        return
    yield Check(
        "same_version", "run", "another version", "INCONCLUSIVE",
        "The candidate is the baseline: a version compared with itself passes, and shows nothing of a release. Where that is "
        'meant, such as to try the gate itself, somebody signs a [[waiver]] of check = "same_version".',
        gates=policy.level.number > 1, warning=True, figures={"digest": digests[0]},
    )  # fmt: skip


def _forgiven(manifest: Mapping[str, Any], cases: Sequence[CaseFacts], policy: Policy) -> Iterator[Check]:
    rules = rules_from_json(manifest.get("matching")).rules
    if not rules:
        return
    named = ", ".join(f"{rule.tool}: {rule}" for rule in rules[:_MOST_RULES])
    named += f" and {len(rules) - _MOST_RULES} more" if len(rules) > _MOST_RULES else ""
    found = [case for case in cases if any(write.forgiven for run in case.candidates for write in run.writes)]
    figures = {"rules": [f"{rule.tool}: {rule}" for rule in rules], "cases": len(found)}
    title = "what --match forgives"
    if not found:
        said = f"Of a write nothing but free text, and no amount of money ({named})."
        yield Check("match", "run", title, "PASS", said, figures=figures)
        return
    yield Check(
        "match", "run", title, "INCONCLUSIVE",
        f"In {number(len(found), 'case')} more of the candidate's writes than free text ({named}), so that another person, "
        'order or account may be the same write. Forgive less, or somebody signs a [[waiver]] of check = "match".',
        gates=policy.level.number > 1, warning=True, figures=figures,
    )  # fmt: skip


def _sample(manifest: Mapping[str, Any], cases: Sequence[CaseFacts]) -> Iterator[Check]:
    turns = int((manifest.get("sampling") or {}).get("turns") or 0)
    limit = manifest.get("limit")
    stands_for = sum(case.weight for case in cases)
    figures = {
        "turns": turns, "stands_for": stands_for, "limit": limit, "where": manifest.get("where") or "",
        "since": manifest.get("since"), "until": manifest.get("until"), "cases": len(cases),
    }  # fmt: skip
    if turns and stands_for < turns - 0.5:
        yield _check(
            "sample", "sample of the traffic", "INCONCLUSIVE",
            f"The sample stands for {stands_for:,.0f} of the {turns:,} turns that it was drawn from: groups of turns have no "
            "case at all. Draw more with --sample-size, group by fewer with --strata, or choose fewer turns with --where.",
            figures=figures,
        )  # fmt: skip
        return
    said = f"{number(len(cases), 'case')}" + (
        f" stand for {turns:,} recorded turns" if turns > len(cases) else ""
    )
    chosen = chosen_by(manifest)
    if limit:
        said += ", the oldest ones: nothing is said of those behind them, and --sample-size draws from all"
    if chosen:
        said += f"; chosen by {chosen}, and nothing is said of the traffic besides"
    yield _check(
        "sample", "sample of the traffic", "PASS", f"{said}." if chosen else f"{said}; none was picked by a filter.",
        warning=bool(chosen), figures=figures,
    )  # fmt: skip


def chosen_by(manifest: Mapping[str, Any]) -> str:
    """Say by what somebody chose a run's cases among the recorded traffic; empty where by nothing."""
    words = {"where": "--where", "since": "--since", "until": "--until", "limit": "--limit"}
    return " ".join(f"{option} {manifest[name]}" for name, option in words.items() if manifest.get(name))


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
    examples = tuple(Example(case.case_id, case.where, case.lost) for case in lost[:10])
    gone = [case for case in lost if not case.candidates or not any(run.cut for run in case.candidates)]
    counted = f"{len(lost):,} of {number(len(cases), 'case')} ({share(_weighted(lost, cases))})"
    return _check(
        "recordings", "recordings there", "INCONCLUSIVE" if gone else "PASS",
        f"The recordings of {counted} cannot be replayed (any more), such as because {lost[0].lost}."
        + (" They were there when the run was: run it anew over what is left." if gone else " They count as not served."),
        warning=True, figures={"lost": len(lost), "since": len(gone)}, examples=examples,
    )  # fmt: skip


def _fidelity(cases: Sequence[CaseFacts], policy: Policy) -> Check:
    ran = [case for case in cases if case.of("baseline")]
    short = [case for case in ran if _stops_short(case, case.of("baseline")[0])]
    part = _weighted(short, ran) if ran else 1.0
    unlike, noise, compared = _unlike(ran)
    bar = policy.most_unfaithful
    figures = {
        "short": len(short), "cases": len(ran), "share": part, "bar": bar, "unlike_recording": unlike,
        "unlike_itself": noise, "compared": compared,
    }  # fmt: skip
    said = f"The baseline stops short of its own recording in {len(short):,} of {number(len(ran), 'case')} ({share(part)})"
    if compared:
        said += (
            f", and calls something else than was recorded in {share(unlike)}, than itself in {share(noise)}"
        )
    over = part > bar
    if not compared and not over:
        return _check(
            "fidelity", "baseline faithful to the recording",
            "INCONCLUSIVE" if policy.level.number > 1 else "PASS",
            f"{said}; in no case could what it calls be compared with the recording and with itself. Run the baseline twice "
            "in each case: --second-baseline 1, or --repeats 2.",
            warning=True, figures=figures,
        )  # fmt: skip
    ending = f"; the bar is {share(bar)}."
    if over or unlike - noise > bar:
        ending += (
            " The replay is no stand-in for what was recorded: `auditlog replay verify` says where it breaks."
            if over
            else " So the baseline is hardly the version that was recorded. Name that one with --baseline."
        )
    return _check(
        "fidelity", "baseline faithful to the recording",
        "INCONCLUSIVE" if over or unlike - noise > bar else "PASS", said + ending, figures=figures,
    )  # fmt: skip


def _stops_short(case: CaseFacts, run: Facts) -> bool:
    failed_before = case.recorded is not None and case.recorded.failed
    return run.cut or (run.failed and not case.lost and not failed_before)


def _unlike(cases: Sequence[CaseFacts]) -> tuple[float, float, int]:
    """Give how often the baseline differs from the recording and from itself, over cases served to their end, and how many."""
    found: list[tuple[float, float, float]] = []
    for case in cases:
        served = [run for run in case.baselines if not run.cut]
        if case.recorded is None or case.lost or len(served) < 2:
            continue
        with_recording = [agreement("trajectory", run, case.recorded) for run in served]
        with_itself = [agreement("trajectory", one, other) for one, other in itertools.pairwise(served)]
        if UNKNOWN in (*with_recording, *with_itself):
            continue
        found.append(
            (
                case.weight,
                1 - sum(low for low, _ in with_recording) / len(with_recording),
                1 - sum(low for low, _ in with_itself) / len(with_itself),
            )
        )
    total = sum(weight for weight, _, _ in found) or 1.0
    return (
        sum(weight * unlike for weight, unlike, _ in found) / total,
        sum(weight * noise for weight, _, noise in found) / total,
        len(found),
    )


def _divergence(cases: Sequence[CaseFacts], policy: Policy) -> Check:
    both = [case for case in cases if case.candidates and case.of("baseline")]
    cut_before = [case for case in both if any(run.cut for run in case.of("baseline"))]
    cut_after = [case for case in both if any(run.cut for run in case.candidates)]
    old, new = _weighted(cut_before, both), _weighted(cut_after, both)
    before, after = {case.case_id for case in cut_before}, {case.case_id for case in cut_after}
    b, c = len(before - after), len(after - before)
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


def _sandbox(manifest: Mapping[str, Any], cases: Sequence[CaseFacts]) -> Check:
    left = [case for case in cases if any(run.status == "invalid" for run in case.runs)]
    made_up = Counter(what for case in cases for what in {what for run in case.runs for what in run.made_up})
    marked = Counter(mark for case in cases for mark in {mark for run in case.runs for mark in run.marked})
    writes_live = (manifest.get("modes") or {}).get("writes") == "live"
    figures = {
        "invalid": len(left),
        "made_up": dict(made_up),
        "live_writes": writes_live,
        "marked": dict(marked),
    }
    if left:
        return _check(
            "sandbox", "sandbox tight", "INCONCLUSIVE",
            f"In {number(len(left), 'case')} something tried to leave the sandbox; what they did proves nothing. "
            "`auditlog replay diff` says what was refused.",
            figures=figures, examples=tuple(Example(c.case_id, c.where, "tried to leave the sandbox") for c in left[:10]),
        )  # fmt: skip
    if made_up:
        return _check(
            "sandbox", "nothing made up", "INCONCLUSIVE",
            f"Some cases got answers that nobody gave to their calls, which never gate: "
            f"{', '.join(f'{what} ({count:,})' for what, count in made_up.most_common())}. "
            "Run without `--on-miss simulate` or `recorded_error`, and without a fork.",
            figures=figures,
        )  # fmt: skip
    if writes_live:
        return _check(
            "sandbox", "nothing written", "INCONCLUSIVE",
            "The run wrote into the world, so that one arm met what the other had changed. Run it without live writes.",
            figures=figures,
        )  # fmt: skip
    said = "".join(
        f" In {number(marked[mark], 'case')} {what}." for mark, what in _MARKS.items() if marked[mark]
    )
    return _check(
        "sandbox", "sandbox tight", "PASS", f"Nothing tried to leave the sandbox, and nothing was made up.{said}",
        warning=bool(said), figures=figures,
    )  # fmt: skip


_MARKS = {
    "live": "a read or a write ran for real, and was answered as the world is now",
    "other_epoch": "a read was answered as recorded with more or fewer writes before it",
}
