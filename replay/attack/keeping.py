"""Keeps campaigns in a store, and reads them back.

The rules:

1. What was tried is a record for each cell (`replay_attack`), what works one for each finding (`replay_attack_finding`), and
   the campaign itself one before and one after: all of them sealed and signed with everything else.
2. The executions behind a finding are ordinary replayed spans, found by the finding's conversation.
3. Words of a sealed family are kept, and are left out of what is read back unless the reader asks for them.
4. A foreign, erased or newer record is no campaign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlog.errors import NotFoundError
from auditlog.values import Json
from replay.attack.campaign import CampaignResult, Finding
from replay.risks.tried import CAMPAIGN, CAMPAIGN_END, CELL, Tried, cells_by_campaign, contents, recorded
from replay.running.records import run_span

if TYPE_CHECKING:
    from auditlog.store import Store

FINDING = "replay_attack_finding"


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A finding as it is kept."""

    finding_id: str
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
    complete: bool
    attacks: int
    flaky: int
    unproven: int
    cells: tuple[Tried, ...]
    findings: tuple[KeptFinding, ...]


def records_of(run_id: str, candidate_digest: str, result: CampaignResult) -> Iterator[bytes]:
    """Make the records of a campaign that is over, its end last."""
    for found in result.cells:
        yield run_span(CELL, run_id, recorded(found, candidate_digest))
    for finding in result.findings:
        yield run_span(FINDING, run_id, _finding(finding))
    end: Json = {
        "attacks": result.attacks,
        "findings": len(result.findings),
        "flaky": result.flaky,
        "unproven": result.unproven,
    }
    yield run_span(CAMPAIGN_END, run_id, end)


def _finding(finding: Finding) -> Json:
    attempt, attack = finding.attempt, finding.attempt.attack
    sign = attempt.signs[0]
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
    cells = cells_by_campaign(store)
    findings: dict[str, list[KeptFinding]] = {}
    for run_id, content in contents(store, FINDING):
        if (kept := _read_finding(content, unsealed=unsealed)) is not None:
            findings.setdefault(run_id, []).append(kept)
    found = []
    for run_id, content in contents(store, CAMPAIGN):
        match content:
            case {
                "created": str(created),
                "candidate": str(candidate),
                "candidate_digest": str(digest),
                "lists": [*lists],
                "seed": int(seed),
            }:
                end = ends.get(run_id)
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
                        complete=end is not None,
                        attacks=_number(end, "attacks"),
                        flaky=_number(end, "flaky"),
                        unproven=_number(end, "unproven"),
                        cells=tuple(cells.get(run_id, {}).values()),
                        findings=tuple(findings.get(run_id, ())),
                    )
                )
            case _:
                pass
    return sorted(found, key=lambda campaign: campaign.created, reverse=True)


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


def _read_finding(content: Mapping[str, Any], *, unsealed: bool) -> KeptFinding | None:
    sealed = content.get("sealed") is True
    try:
        return KeptFinding(
            finding_id=str(content["id"]),
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


def _number(content: Mapping[str, Any] | None, name: str) -> int:
    value = (content or {}).get(name)
    return value if isinstance(value, int) else 0
