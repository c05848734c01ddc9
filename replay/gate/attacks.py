"""What the store knows of attacks on a candidate.

The rules:

1. An attack that was run is a record of kind `other`, named `replay_attack`, whose input says what was tried and what came of it:
   `{"id", "list", "entry", "surface", "language", "candidate_digest", "succeeded", "what"}`.
2. Only attacks on the very candidate of the run count: a digest of code and prompt that changed was not attacked.
3. The lists are data: `llm` is the OWASP Top 10 for LLM applications 2025, `agentic` the agentic one (ASI01–10), `mcp` the beta
   for MCP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditlog.store import Store

ATTACK = "replay_attack"

_PREFIXES = {"llm": "LLM", "agentic": "ASI", "mcp": "MCP"}


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
    """Give the entries of a list, such as LLM01 to LLM10."""
    return tuple(f"{_PREFIXES[name]}{number:02}" for number in range(1, 11))


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
            } if digest == candidate_digest:
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
