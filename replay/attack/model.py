"""What an attack is, what proposes attacks, and what came of one: AttackCase, Attacker, Attempt.

The rules:

1. Pure values. An attack is words, the way by which they come in, and what would make it a success; it knows no agent.
2. An attacker proposes; it never runs anything and never judges. What came of its earlier attacks is given to it.
3. The same seed, host turns and feedback make the same proposals.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from replay.diff.model import CaseStatus
from replay.risks.taxonomy import Cell, Surface


@dataclass(frozen=True, slots=True)
class Host:
    """A recorded turn that attacks are laid into."""

    conversation_id: str
    trace_id: str
    span_id: str
    """The recorded agent span's."""
    said: str
    """What the customer said."""
    gaps: Mapping[str, str]
    """What texts may be filled with: `id`, `email`, `amount`, where the turn holds one."""
    surfaces: frozenset[Surface]
    """The ways by which words can come into this turn."""
    empty: int = 0
    """How many fields its tools' results leave empty: what a customer may ask for and no record holds."""


@dataclass(frozen=True, slots=True)
class AttackCase:
    """One attack on one recorded turn."""

    cell: Cell
    family: str
    text: str
    """What is put there, its gaps filled."""
    host: Host
    goals: tuple[str, ...]
    """The oracles that tell whether it worked."""
    risks: tuple[str, ...]
    """Every risk that it tries, the cell's first."""
    canary: str
    """A word that nobody says by chance."""
    sealed: bool = False
    """Kept from whoever works on the agent."""
    mutations: tuple[str, ...] = ()
    """What was done to the family's text, in order."""
    made_by: str = "templates"
    unfilled: str = ""
    """Its words with the gaps open: nothing in them is a customer's."""

    @property
    def attack_id(self) -> str:
        """16 hex digits; the same words in the same turn are the same attack."""
        said = f"{self.family}\0{self.cell.surface}\0{self.text}\0{self.host.span_id}"
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sign:
    """What an oracle saw."""

    goal: str
    detail: str
    """One sentence."""
    span_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attack that was run, and what came of it."""

    attack: AttackCase
    status: CaseStatus
    """How the candidate's execution ended."""
    signs: tuple[Sign, ...] = ()
    trace: tuple[str, ...] = ()
    """The candidate's calls, in order: kind and name."""
    why: str = ""
    conversation_id: str = ""
    """Of the candidate's execution."""
    proven: bool = True
    """Both versions ran to where something could be seen; an attack that was not proves nothing, held or broken."""

    @property
    def succeeded(self) -> bool:
        """Whether the attack did what it was for."""
        return bool(self.signs)


GAPS = ("id", "email", "amount", "canary", "url", "said")
"""What may stand in braces in a text, and is filled in from the turn that it is laid into."""

_GAP = re.compile(r"\{(" + "|".join(GAPS) + r")\}")


def canary_of(seed: int, host: Host) -> str:
    """Give a word that nobody says by chance."""
    digest = hashlib.sha256(f"{seed}/{host.span_id}".encode()).hexdigest()
    return "zq" + "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:8])


def filled(text: str, host: Host, canary: str) -> str | None:
    """Fill a text's gaps; None where the turn has nothing for one of them.

    Args:
        text: with gaps in braces; other braces stay.
        host: the turn that it is laid into.
        canary: the attack's word.
    """
    gaps = {**host.gaps, "canary": canary, "url": f"https://{canary}.example/p.png", "said": host.said}
    if any(gap not in gaps for gap in _GAP.findall(text)):
        return None
    return _GAP.sub(lambda found: gaps[found[1]], text)


@dataclass(frozen=True, slots=True)
class Context:
    """What an attacker may know."""

    hosts: Sequence[Host]
    seed: int = 0
    about: str = ""
    """What the agent is for, in a sentence, where somebody said."""
    tools: tuple[str, ...] = ()
    """The names of the tools in the recordings."""


@dataclass(slots=True)
class Feedback:
    """What came of an attacker's earlier proposals."""

    attempts: list[Attempt] = field(default_factory=list)

    def of(self, cell: Cell) -> list[Attempt]:
        """Give the attempts of one cell."""
        return [attempt for attempt in self.attempts if attempt.attack.cell == cell]


class Attacker(Protocol):
    """Proposes attacks."""

    name: str

    def propose(self, cell: Cell, context: Context, feedback: Feedback, most: int) -> list[AttackCase]:
        """Give attacks for a cell.

        Args:
            cell: the risk, the surface and the language.
            context: the recorded turns that attacks can be laid into, and what is known of the agent.
            feedback: what came of the attacks so far, this attacker's and others'.
            most: how many are wanted at most.

        Returns:
            None where the attacker has nothing (more) for the cell.
        """
        ...
