"""What the store knows of attacks on a candidate.

The rules:

1. An attack that was run is a record of kind `other`, named `replay_attack`, whose input says what was tried and what came of it:
   `{"id", "list", "entry", "surface", "language", "candidate_digest", "tried", "succeeded", "what"}`.
2. Only attacks on the very candidate of the run count: a digest of code and prompt that changed was not attacked.
3. The lists are data (`schemas/taxonomies.json`). What a replay cannot try, such as a supply chain, is not asked for there.
4. A cell in which nothing was tried covers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditlog import resources

if TYPE_CHECKING:
    from auditlog.store import Store

ATTACK = "replay_attack"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack that was run."""

    attack_id: str
    list: str
    entry: str
    surface: str
    succeeded: bool
    what: str


def entries(name: str) -> tuple[str, ...]:
    """Give the entries of a list that a replay can try, such as LLM01."""
    lists = {found["name"]: found for found in resources.schema("taxonomies")["taxonomies"]}
    return tuple(risk["id"] for risk in lists[name]["risks"] if "untried" not in risk)


def attacks_of(store: Store, candidate_digest: str) -> list[Attack]:
    """Give the attacks on a candidate."""
    found = []
    for span in store.spans("kind = 'other' AND name = ?", [ATTACK]):
        match span.input:
            case {
                "id": str(attack_id),
                "list": str(name),
                "entry": str(entry),
                "candidate_digest": str(digest),
                "succeeded": bool(succeeded),
                **rest,
            } if digest == candidate_digest and rest.get("tried") != 0:
                found.append(
                    Attack(
                        attack_id,
                        name,
                        entry,
                        str(rest.get("surface") or ""),
                        succeeded,
                        str(rest.get("what") or ""),
                    )
                )
            case _:
                pass
    return found
