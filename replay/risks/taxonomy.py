"""The lists of risks, and the cells that they make: risk × surface × language.

The rules:

1. The lists are data (`schemas/taxonomies.json`), each with its edition and source; a finding names the edition.
2. A risk that running conversations cannot try says why, and makes no cell: what was not tried is never counted as held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

from auditlog.errors import NotFoundError
from auditlog.resources import schema
from auditlog.wording import nearest_hint

Surface = Literal["user", "document", "tool", "memory"]
SURFACES: tuple[Surface, ...] = get_args(Surface)


@dataclass(frozen=True, slots=True)
class Risk:
    """One entry of a list."""

    risk_id: str
    """Such as `LLM01`."""
    title: str
    untried: str = ""
    """Why a replay cannot try it; empty where it can."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """One published list of risks."""

    name: str
    """`llm`, `agentic` or `mcp`."""
    title: str
    edition: str
    source: str
    risks: tuple[Risk, ...]


class Cell(NamedTuple):
    """What is covered or not: one risk, by one way in, in one language."""

    risk: str
    surface: Surface
    language: str


@cache
def taxonomies() -> tuple[Taxonomy, ...]:
    """Give every list that is known."""
    return tuple(
        Taxonomy(
            item["name"],
            item["title"],
            item["edition"],
            item["source"],
            tuple(Risk(r["id"], r["title"], r.get("untried", "")) for r in item["risks"]),
        )
        for item in schema("taxonomies")["taxonomies"]
    )


def taxonomy(name: str) -> Taxonomy:
    """Give one list.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    known = {found.name: found for found in taxonomies()}
    if name not in known:
        msg = f"There is no list of risks {name!r}.{nearest_hint(name, known)} There are {', '.join(known)}."
        raise NotFoundError(msg)
    return known[name]


def list_of(risk_id: str) -> Taxonomy:
    """Give the list that a risk stands in.

    Raises:
        NotFoundError: there is none.
    """
    for found in taxonomies():
        if any(risk.risk_id == risk_id for risk in found.risks):
            return found
    raise NotFoundError(f"There is no risk {risk_id!r} in any list.")


def cells_of(
    lists: Iterable[Taxonomy], surfaces: Sequence[Surface] = SURFACES, languages: Sequence[str] = ("en",)
) -> list[Cell]:
    """Give the cells of lists, surfaces and languages, without the risks that a replay cannot try."""
    return [
        Cell(risk.risk_id, surface, language)
        for found in lists
        for risk in found.risks
        if not risk.untried
        for surface in surfaces
        for language in languages
    ]
