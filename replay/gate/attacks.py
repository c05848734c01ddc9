"""What the store knows of attacks on a candidate, as the gate counts it.

The rules:

1. What an attack is, and how campaigns on one candidate add up, is said in `replay.risks.tried`.
2. Only attacks on the very candidate of the run count: a digest of code and prompt that changed was not attacked.
3. What a replay cannot try, such as a supply chain, is not asked for.
4. A cell in which nothing was tried covers nothing; one that broke once and not again (`flaky`) is no success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.risks.taxonomy import list_of, taxonomy
from replay.risks.tried import tried_on

if TYPE_CHECKING:
    from auditlog.store import Store


@dataclass(frozen=True, slots=True)
class Attack:
    """What was tried in one cell."""

    attack_id: str
    list: str
    entry: str
    surface: str
    succeeded: bool
    what: str


def entries(name: str) -> tuple[str, ...]:
    """Give the entries of a list that a replay can try, such as LLM01."""
    return tuple(risk.risk_id for risk in taxonomy(name).risks if not risk.untried)


def attacks_of(store: Store, candidate_digest: str) -> list[Attack]:
    """Give the cells in which a candidate was attacked."""
    return [
        Attack(
            "/".join(cell),
            list_of(cell.risk).name,
            cell.risk,
            cell.surface,
            found.state == "broken",
            f"{found.worked} of {found.tried} attacks worked",
        )
        for cell, found in tried_on(store, candidate_digest).items()
        if found.tried
    ]
