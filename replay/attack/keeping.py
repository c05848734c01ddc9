"""Keeps campaigns in a store, and reads them back.

The rules:

1. What was tried is a record for each cell (see `replay.risks.tried`), what works one for each finding (`replay_attack_finding`),
   and the campaign itself one before and one after: all of them sealed and signed with everything else. A finding stands with
   the recorded turn that it was laid into, whose words are in it, and is erased with it.
2. The executions behind a finding are ordinary replayed spans, found by the finding's conversation.
3. Words of a sealed family are kept, and are left out of what is read back unless the reader asks for them.
4. A foreign, erased or newer record is no campaign.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from auditlog.errors import NotFoundError
from auditlog.values import Json
from replay.attack.campaign import CampaignResult, Finding
from replay.errors import RunError
from replay.risks.tried import (
    CAMPAIGN,
    CAMPAIGN_END,
    CAMPAIGN_STOP,
    CELL,
    Tried,
    cells_by_campaign,
    contents,
    recorded,
)
from replay.running.records import SOURCE_SPAN, SOURCE_TRACE, run_span
from replay.running.run_plan import RunPlan
from replay.running.runs import is_under_way, process_birth

if TYPE_CHECKING:
    from auditlog.store import Store

FINDING = "replay_attack_finding"

CampaignStatus = Literal["complete", "budget", "running", "interrupted"]


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A finding as it is kept."""

    finding_id: str
    run_id: str
    """The campaign's."""
    family: str
    risks: tuple[str, ...]
    surface: str
    language: str
    text: str | None
    """None where the family is sealed and the reader did not ask for it."""
    original: str | None
    goal: str
    detail: str
    reproduced: int
    mutations: tuple[str, ...]
    made_by: str
    host: Mapping[str, str]
    """`conversation_id`, `trace_id` and `span_id` of the turn that it was laid into."""
    conversation_id: str
    """Of the candidate's execution."""
    span_ids: tuple[str, ...]
    canary: str
    sealed: bool


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it is kept."""

    run_id: str
    created: datetime
    candidate: str
    candidate_digest: str
    baseline: str | None
    lists: tuple[str, ...]
    seed: int
    status: CampaignStatus
    attacks: int
    flaky: int
    unproven: int
    why_unproven: Mapping[str, int]
    unconfirmed: int
    cells: tuple[Tried, ...]
    findings: tuple[KeptFinding, ...]

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.status == "complete"


def records_of(plan: RunPlan, result: CampaignResult) -> Iterator[bytes]:
    """Make the records of a campaign that is over, or that a budget stopped; its end last."""
    run_id = plan.run_id
    for found in result.cells:
        yield run_span(CELL, run_id, recorded(found, plan.candidate.digest))
    for finding in result.findings:
        content, host = _finding(finding), finding.attempt.attack.host
        place = {SOURCE_TRACE: host.trace_id, SOURCE_SPAN: host.span_id}
        # A conversation of its own: what is erased with a customer must not take the campaign's records along.
        yield run_span(FINDING, run_id, content, place, f"{run_id}/finding/{content['id']}")
    end: dict[str, Json] = {
        "attacks": result.attacks,
        "findings": [finding.attempt.attack.attack_id for finding in result.findings],
        "flaky": result.flaky,
        "by_list": dict(result.by_list),
        "unproven": result.unproven,
        "why_unproven": dict(result.why_unproven),
        "unconfirmed": result.unconfirmed,
    }
    if result.budget is None:
        yield run_span(CAMPAIGN_END, run_id, end)
    else:
        yield run_span(
            CAMPAIGN_STOP,
            run_id,
            {**end, "budget": result.budget, "process": [os.getpid(), process_birth(os.getpid())]},
        )


def _finding(finding: Finding) -> dict[str, Json]:
    attempt, attack, sign = finding.attempt, finding.attempt.attack, finding.sign
    return {
        "id": attack.attack_id,
        "family": attack.family,
        "risks": list(attack.risks),
        "surface": attack.cell.surface,
        "language": attack.cell.language,
        "text": attack.text,
        "original": finding.original,
        "goal": sign.goal,
        "detail": sign.detail,
        "reproduced": finding.reproduced,
        "mutations": list(attack.mutations),
        "made_by": attack.made_by,
        "host": {
            "conversation_id": attack.host.conversation_id,
            "trace_id": attack.host.trace_id,
            "span_id": attack.host.span_id,
        },
        "conversation_id": attempt.conversation_id,
        "span_ids": list(sign.span_ids),
        "canary": attack.canary,
        "sealed": attack.sealed,
    }


def load_campaigns(store: Store, *, unsealed: bool = False) -> list[Campaign]:
    """Give a store's campaigns, newest first.

    Args:
        store: where they are.
        unsealed: give the words of sealed families, too.
    """
    ends = dict(contents(store, CAMPAIGN_END))
    stops = dict(contents(store, CAMPAIGN_STOP))
    cells = cells_by_campaign(store)
    findings: dict[str, dict[str, KeptFinding]] = {}
    for run_id, content in contents(store, FINDING):
        if (kept := _read_finding(run_id, content, unsealed=unsealed)) is not None:
            findings.setdefault(run_id, {})[kept.finding_id] = kept
    found = []
    for run_id, content in dict(contents(store, CAMPAIGN)).items():
        match content:
            case {
                "created": str(created),
                "candidate": str(candidate),
                "candidate_digest": str(digest),
                "lists": [*lists],
                "seed": int(seed),
            }:
                end = ends.get(run_id) or stops.get(run_id) or {}
                baseline = content.get("baseline")
                found.append(
                    Campaign(
                        run_id=run_id,
                        created=datetime.fromisoformat(created),
                        candidate=candidate,
                        candidate_digest=digest,
                        baseline=baseline if isinstance(baseline, str) else None,
                        lists=tuple(map(str, lists)),
                        seed=seed,
                        status=_status(store, content, ended=run_id in ends, stop=stops.get(run_id)),
                        attacks=_number(end, "attacks"),
                        flaky=_number(end, "flaky"),
                        unproven=_number(end, "unproven"),
                        why_unproven=_counts(end.get("why_unproven")),
                        unconfirmed=_number(end, "unconfirmed"),
                        cells=tuple(cells.get(run_id, {}).values()),
                        findings=_listed(findings.get(run_id, {}), end.get("findings")),
                    )
                )
            case _:
                pass
    return sorted(found, key=lambda campaign: campaign.created, reverse=True)


def manifest_of(store: Store, wanted: str) -> dict[str, Any]:
    """Give what a campaign was begun with.

    Args:
        store: where it is.
        wanted: its id, an unambiguous beginning of it, or `last`.

    Raises:
        NotFoundError: there is none, or several.
        RunError: it does not say enough to go on with.
    """
    run_id = load_campaign(store, wanted).run_id
    manifest = dict(contents(store, CAMPAIGN))[run_id]
    if not isinstance(manifest.get("plan"), dict) or not isinstance(manifest.get("settings"), dict):
        raise RunError(
            f"Campaign {run_id} does not say what it was begun with, so it cannot go on. Start a new one."
        )
    return manifest


def _status(
    store: Store, manifest: Mapping[str, Any], *, ended: bool, stop: Mapping[str, Any] | None
) -> CampaignStatus:
    plan = manifest.get("plan")
    if ended:
        return "complete"
    if isinstance(plan, dict) and "run_id" in plan and is_under_way(plan, store.layout):
        return "running"
    # One that goes on after a budget says so by its process.
    process = [plan.get("pid"), plan.get("born")] if isinstance(plan, dict) else None
    return "budget" if stop is not None and stop.get("process") == process else "interrupted"


def _listed(found: Mapping[str, KeptFinding], ids: Any) -> tuple[KeptFinding, ...]:
    """Give the findings that the last end names, in its order; all where it names none."""
    if not isinstance(ids, list):
        return tuple(found.values())
    return tuple(found[name] for name in ids if name in found)


def _counts(value: Any) -> dict[str, int]:
    counts = value if isinstance(value, dict) else {}
    return {str(name): count for name, count in counts.items() if isinstance(count, int)}


def load_campaign(store: Store, wanted: str, *, unsealed: bool = False) -> Campaign:
    """Give one campaign by its id, an unambiguous beginning of it, or `last`.

    Raises:
        NotFoundError: there is none, or several.
    """
    known = load_campaigns(store, unsealed=unsealed)
    if not known:
        raise NotFoundError(
            f"There is no campaign {wanted!r}: the store holds none. `auditlog attack run --candidate module:agent` makes one."
        )
    if wanted == "last":
        return known[0]
    fitting = [c for c in known if wanted and c.run_id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    named = ", ".join(c.run_id for c in (fitting or known)[:5])
    hint = "is the beginning of several" if fitting else "is none; there are"
    raise NotFoundError(f"The campaign {wanted!r} {hint}: {named}.")


def _read_finding(run_id: str, content: Mapping[str, Any], *, unsealed: bool) -> KeptFinding | None:
    sealed = content.get("sealed") is True
    try:
        return KeptFinding(
            finding_id=str(content["id"]),
            run_id=run_id,
            family=str(content["family"]),
            risks=tuple(map(str, content["risks"])),
            surface=str(content["surface"]),
            language=str(content["language"]),
            text=None if sealed and not unsealed else str(content["text"]),
            original=None if sealed and not unsealed else str(content["original"]),
            goal=str(content["goal"]),
            detail=str(content["detail"]),
            reproduced=int(content["reproduced"]),
            mutations=tuple(map(str, content["mutations"])),
            made_by=str(content["made_by"]),
            host={str(key): str(value) for key, value in dict(content["host"]).items()},
            conversation_id=str(content["conversation_id"]),
            span_ids=tuple(map(str, content["span_ids"])),
            canary=str(content["canary"]),
            sealed=sealed,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _number(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    return value if isinstance(value, int) else 0
