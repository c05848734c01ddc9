"""Whether the candidate is as good as the baseline: primary metrics, overall and in the slices that the policy named.

The rules:

1. A primary metric passes when its interval lies above −margin, fails when it lies below 0, and is INCONCLUSIVE else,
   with the number of cases that it would take. All of them must pass (intersection–union: no correction is due for that).
2. A slice that the policy named beforehand is judged in the same way, metric by metric: that no fall is shown there is no pass.
3. Several are tested, so one of them falls by chance more often than α: what fails must stand out among all of them (Holm).
   What fails by itself alone is INCONCLUSIVE.
4. "Significant, but within the margin" passes with a warning.
5. What was not served to its end, and what a scorer did not judge, is judged twice, as if all of it had failed and as if all had
   passed. Two answers are none; nor is there one where it is too much, or more in one arm than in the other. What fails both
   ways fails.
6. A case that a scorer failed on, was not asked about, or judged in one execution and not in another, is unscored: reported,
   never 0, and INCONCLUSIVE above the policy's share. A scorer that did not run leaves no verdict, and nobody signs for it.
7. A run that is not complete may be looked at as often as one likes, so what fails in it must do so by a test that bears that: a
   bet against "no worse" that has won as much as the tests that are made (E ≥ tests/α), one value a conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.check import Check, Group, Outcome
from replay.gate.facts import CaseFacts
from replay.gate.measured import EveryTime, Measured, Pairs, every_time
from replay.gate.metrics import AGREEMENT, unscored
from replay.gate.policy import Policy
from replay.gate.wording import number, points, share

_REPORTED = 0.5
"""A margin for where none is asked for, and the figures alone count."""


class _Asked(NamedTuple):
    """One test, before it is among the others."""

    check_id: str
    group: Group
    title: str
    metric: str
    margin: float | None
    found: Measured
    ways: stats.BothWays
    repeats: EveryTime | None
    of: int
    """The cases that it was asked of."""

    @property
    def gates(self) -> bool:
        """Whether it decides."""
        return self.margin is not None

    @property
    def fails(self) -> bool:
        """Whether it fails by itself, whatever the unknown would have been."""
        return self.found.n > 1 and self.ways.failed.verdict == "FAIL" == self.ways.passed.verdict

    @property
    def p(self) -> float:
        """The one-sided p-value of no fall, the larger one of both ways."""
        return max(_one_sided(self.ways.failed), _one_sided(self.ways.passed))

    @property
    def evidence(self) -> float:
        """What a bet against "no worse" has won so far, the smaller one of both ways."""
        return min(_won(self.found, self.margin or _REPORTED, end) for end in (0, 1))


def primary_checks(
    cases: Sequence[CaseFacts],
    policy: Policy,
    missing: Mapping[str, str] | None = None,
    *,
    complete: bool = True,
) -> Iterator[Check]:
    """Judge each primary metric, and each in the slices that the policy named.

    Args:
        cases: what became of them.
        policy: what is asked.
        missing: scorers that did not run, by name, and why.
        complete: whether the run is; else what fails does so by a test that one may look at after every case.
    """
    pairs = Pairs(cases)
    asked = [
        _asked(f"primary.{metric}", "primary", metric, metric, pairs, None, policy)
        for metric in policy.primary
    ]
    for name in dict.fromkeys(policy.named_slices):
        tag, _, value = name.partition("=")
        inside = pairs.tagged(tag).get(value, [])
        asked += [
            _asked(f"slice.{name}.{metric}", "slice", f"{name}: {metric}", metric, pairs, inside, policy)
            for metric in policy.primary
        ]
    family = [one for one in asked if one.gates]
    if complete:
        among = stats.holm([one.p for one in family], policy.alpha).rejected
    else:
        among = tuple(one.evidence >= len(family) / policy.alpha for one in family)
    stands_out = {one.check_id for one, found in zip(family, among, strict=True) if found}
    for one in asked:
        yield _judged(one, policy, len(family), stands_out=one.check_id in stands_out, complete=complete)
    yield from _unscored_checks(cases, policy, missing or {})


def _asked(
    check_id: str,
    group: Group,
    title: str,
    metric: str,
    pairs: Pairs,
    places: Sequence[int] | None,
    policy: Policy,
) -> _Asked:
    found, margin = pairs.measured(metric, places), policy.margin_of(metric)
    ways = stats.both_ways(
        [[pair.baseline] for pair in found.pairs],
        [[pair.candidate] for pair in found.pairs],
        _REPORTED if margin is None else margin,
        policy.alpha,
        found.clusters,
        found.weights,
        policy.most_diverged,
    )
    inside = pairs.cases if places is None else [pairs.cases[place] for place in places]
    return _Asked(
        check_id, group, title, metric, margin, found, ways, every_time(metric, inside), len(inside)
    )


def _one_sided(found: stats.Noninferiority) -> float:
    return found.p / 2 if (found.interval.estimate or 0.0) < 0 else 1 - found.p / 2


def _won(found: Measured, margin: float, end: int) -> float:
    by_conversation: dict[str, list[float]] = {}
    for pair, cluster in zip(found.pairs, found.clusters, strict=True):
        by_conversation.setdefault(cluster, []).append(pair.candidate[end] - pair.baseline[end])
    test = stats.SequentialTest(margin, binary=False)
    for differences in by_conversation.values():
        test.update(sum(differences) / len(differences))
    return test.look().fail_evidence


def _judged(one: _Asked, policy: Policy, tested: int, *, stands_out: bool, complete: bool) -> Check:
    found, margin, worst = one.found, one.margin, one.ways.failed
    if found.n < 2:
        return Check(
            one.check_id, one.group, one.title, "INCONCLUSIVE", _nothing(one), gates=one.gates,
            figures={"n": found.n, "silent": found.silent},
        )  # fmt: skip
    interval = worst.interval
    figures = {
        "baseline": found.baseline,
        "candidate": found.candidate,
        "delta": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "method": interval.method,
        "n": found.n,
        "conversations": found.conversations,
        "margin": margin,
        "alpha": policy.alpha,
        "p": worst.p,
        "required_n": worst.required_n,
        "unknown": found.unknown,
        "silent": found.silent,
        "pass_hat_k": None if one.repeats is None else dict(one.repeats._asdict()),
    }
    said = (
        f"{share(found.baseline)} → {share(found.candidate)}, Δ {points(interval.estimate)} "
        f"[{points(interval.low)}, {points(interval.high)}] over {number(found.n, 'case')} in "
        f"{number(found.conversations, 'conversation')}"
    )
    if one.repeats is not None:
        k, old, new = one.repeats
        said += f", each of {k} repeats {share(old)} → {share(new)}"
    if margin is None:
        return Check(
            one.check_id,
            one.group,
            one.title,
            "PASS",
            f"{said}; reported only.",
            gates=False,
            figures=figures,
        )
    if one.fails and not complete:
        figures = {**figures, "evidence": one.evidence, "evidence_asked": tested / policy.alpha}
    outcome, ending = _outcome(one, margin, tested, stands_out=stands_out, complete=complete)
    warning = outcome == "PASS" and worst.within_margin_but_significant
    ending += " The fall is shown, though it is within the margin." if warning else ""
    return Check(
        one.check_id, one.group, one.title, outcome, f"{said}. {ending}", warning=warning, figures=figures
    )  # fmt: skip


def _outcome(
    one: _Asked, margin: float, tested: int, *, stands_out: bool, complete: bool
) -> tuple[Outcome, str]:
    found, ways = one.found, one.ways
    if one.fails and stands_out:
        return "FAIL", "Worse than the baseline." + (
            "" if complete else " That is shown however often one looks: the run need not go on."
        )
    if one.fails and not complete:
        return "INCONCLUSIVE", (
            "Worse so far, and the run is not complete: who looks again and again sees that by chance. Let it go on."
        )
    if one.fails:
        return "INCONCLUSIVE", (
            f"Worse by itself (p = {one.p:.2g}), but one of {tested} that are tested together falls as far by chance; "
            f"{_missing(ways.failed.required_n, found.n)}."
        )
    if ways.reasons:
        counted = f"{number(found.unknown, 'case')} of them not served to the end, or not judged:"
        if ways.failed.verdict != ways.passed.verdict:
            return "INCONCLUSIVE", (
                f"{counted} as failures they give {ways.failed.verdict}, as passes {ways.passed.verdict}."
            )
        return "INCONCLUSIVE", (
            f"{counted} {ways.only_baseline:,} in the baseline alone, {ways.only_candidate:,} in the candidate alone "
            f"(p = {ways.p:.2g}). So much that is unknown, or so unlike, is no ground for a verdict."
        )
    if ways.verdict == "PASS":
        return "PASS", f"No worse than the margin of {points(-margin)}."
    return "INCONCLUSIVE", (
        f"Neither no worse than {points(-margin)} nor worse than 0 is shown; {_missing(ways.failed.required_n, found.n)}."
    )


def _missing(required: int, n: int) -> str:
    if required > n:
        return f"about {required:,} cases would, {required - n:,} more than there are"
    return "there are cases enough for a candidate that is as good, so this one lies near the edge: more of them may tell"


def _nothing(one: _Asked) -> str:
    if one.found.silent:
        why = f"of {one.found.silent:,} more neither side was served to its end, or judged"
    elif one.group == "slice":
        why = "no more of this run's cases are of this slice"
    elif one.found.n == one.of:
        why = "this run has no more, and one shows nothing by itself" if one.of else "this run has none"
    elif one.metric in AGREEMENT:
        why = (
            f"the baseline ran each {'other ' if one.found.n else ''}case once, so there is no noise to compare with: "
            "run with `--second-baseline 1`, or `--repeats 2`"
        )
    else:
        why = "its scorer said nothing of the others, or a side did not run"
    return f"{number(one.found.n, 'case')} can be compared: {why}."


def _unscored_checks(
    cases: Sequence[CaseFacts], policy: Policy, missing: Mapping[str, str]
) -> Iterator[Check]:
    decides = (*policy.primary, *policy.hard)
    for metric in dict.fromkeys((*decides, *policy.secondary)):
        gates = metric in decides
        if metric in missing:
            yield Check(
                f"unscored.{metric}", "primary", f"{metric}, unscored", "INCONCLUSIVE",
                f"It judged nothing: {missing[metric]}", gates=gates, warning=True, waivable=False,
            )  # fmt: skip
        elif gates and (found := _unscored(metric, cases, policy)) is not None:
            yield found


def _unscored(metric: str, cases: Sequence[CaseFacts], policy: Policy) -> Check | None:
    left_out = [case for case in cases if unscored(metric, case)]
    if not left_out:
        return None
    failed = sum(1 for case in left_out if any(metric in run.unscored for run in case.runs))
    part = sum(case.weight for case in left_out) / sum(case.weight for case in cases)
    too_many = part > policy.most_unscored
    says = (
        f"{len(left_out):,} of {number(len(cases), 'case')} ({share(part)}) are unscored, and not 0: the scorer failed on "
        f"{failed:,}; of the others it did not judge every execution."
    )
    more = (
        f" The policy bears {share(policy.most_unscored)}: mend the scorer and score again."
        if too_many
        else ""
    )
    return Check(
        f"unscored.{metric}", "primary", f"{metric}, unscored", "INCONCLUSIVE" if too_many else "PASS", says + more,
        warning=True, figures={"unscored": len(left_out), "failed": failed, "share": part},
    )  # fmt: skip
