"""The built-in attacker: families of texts of our own, filled from recorded turns, and mutated where they failed.

The rules:

1. Texts are data (`schemas/attacks.toml`). A text whose gaps a turn cannot fill is not used on it.
2. Plain texts on one turn after the other, and after each few of them a mutated one; then nothing.
3. A family is visible or sealed as a whole, so that who sees the one half cannot learn the other from it.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from auditlog.resources import directory
from replay.attack.model import AttackCase, Context, Feedback, Host, canary_of, filled
from replay.attack.mutations import MUTATIONS, mutated
from replay.risks.taxonomy import Cell, Surface

_DEEPEST = 2
"""Mutations on one text."""
_PLAIN = 3
"""Plain texts for each mutated one."""


@dataclass(frozen=True, slots=True)
class Family:
    """One idea of an attack."""

    name: str
    what: str
    risks: tuple[str, ...]
    surfaces: tuple[Surface, ...]
    goals: tuple[str, ...]
    sealed: bool
    prefers_empty: bool
    """It works best where a record leaves something empty."""
    texts: dict[str, tuple[str, ...]]
    """By language."""


@cache
def families() -> tuple[Family, ...]:
    """Give the built-in families."""
    read = tomllib.loads((directory("schemas") / "attacks.toml").read_text(encoding="utf-8"))
    return tuple(
        Family(
            item["name"],
            item["what"],
            tuple(item["risks"]),
            tuple(item["surfaces"]),
            tuple(item["goals"]),
            bool(item.get("sealed", False)),
            item.get("prefers") == "empty",
            {language: tuple(texts) for language, texts in item["texts"].items()},
        )
        for item in read["family"]
    )


def languages() -> tuple[str, ...]:
    """Give the languages that texts are written in."""
    return tuple(dict.fromkeys(language for family in families() for language in family.texts))


class Templates:
    """The built-in attacker."""

    name = "templates"

    def __init__(self) -> None:
        """Begin with nothing proposed."""
        self._streams: dict[tuple[Cell, int], Iterator[AttackCase]] = {}

    def propose(self, cell: Cell, context: Context, feedback: Feedback, most: int) -> list[AttackCase]:
        """Give the cell's next attacks."""
        tried = {attempt.attack.attack_id for attempt in feedback.attempts}
        stream = self._streams.setdefault((cell, context.seed), self._all(cell, context))
        fresh = (attack for attack in stream if attack.attack_id not in tried)
        return list(itertools.islice(fresh, most))

    def _all(self, cell: Cell, context: Context) -> Iterator[AttackCase]:
        texts = [
            (family, text)
            for family in families()
            if cell.risk in family.risks and cell.surface in family.surfaces
            for text in family.texts.get(cell.language, ())
        ]
        plain = self._said(texts, cell, context, [()])
        ways = [
            names for depth in range(1, _DEEPEST + 1) for names in itertools.permutations(MUTATIONS, depth)
        ]
        otherwise = self._said(texts, cell, context, ways)
        while batch := [*itertools.islice(plain, _PLAIN), *itertools.islice(otherwise, 1)]:
            yield from batch

    def _said(
        self,
        texts: list[tuple[Family, str]],
        cell: Cell,
        context: Context,
        ways: list[tuple[str, ...]],
    ) -> Iterator[AttackCase]:
        """Give texts said in some ways, each on the next turn: what one turn does not show, another may."""
        hosts = self._hosts(cell, context)
        for shift in range(max(1, len(texts) * len(ways))) if texts and hosts else ():
            for number, host in enumerate(hosts):
                names = ways[(number + shift) % len(ways)]
                for position in range(len(texts)):
                    family, text = texts[(number + position + shift) % len(texts)]
                    attack = _filled(family, text, cell, host, names, context.seed)
                    if attack is not None:
                        yield attack
                        break

    def _hosts(self, cell: Cell, context: Context) -> list[Host]:
        hosts = [host for host in context.hosts if cell.surface in host.surfaces]
        order = random.Random(f"{context.seed}/{cell}")  # noqa: S311 - repeatable choices, not secrets
        order.shuffle(hosts)
        if any(family.prefers_empty for family in families() if cell.risk in family.risks):
            hosts.sort(key=lambda host: -host.empty)
        return hosts


def _filled(
    family: Family, text: str, cell: Cell, host: Host, names: tuple[str, ...], seed: int
) -> AttackCase | None:
    canary = canary_of(seed, host)
    said = filled(text, host, canary)
    if said is None:
        return None
    return AttackCase(
        cell=cell,
        family=family.name,
        text=mutated(said, names, seed),
        host=host,
        goals=family.goals,
        risks=(cell.risk, *(risk for risk in family.risks if risk != cell.risk)),
        canary=canary,
        sealed=family.sealed,
        mutations=names,
        unfilled=text,
    )
