"""What the recordings say of each tool's effect: the worst of all of them, whatever one turn holds.

The rules:

1. A tool that any recording calls a write is a write. So is one that was recorded without a declared effect, by code that could
   have declared one: whoever declares it a read afterwards does not make it one.
2. Of what was imported nobody could say an effect: it is served as the agent declares it, and never runs for real as a read.
3. A hand-off in any recording is one, and is no read.
4. What the recordings call only a read is what the agent says that it is, but for a model: they would have to call it one, too.

Pure: a value, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from auditlog.values import Effect


@dataclass(frozen=True, slots=True)
class KnownEffects:
    """The tools whose effect is settled by the recordings of a whole store, by name."""

    writes: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    """Recorded only by an import, without an effect."""
    reads: tuple[str, ...] = ()
    """Recorded as tools that read or as retrievers, and never as models."""

    def effect(self, name: str, declared: Effect | None) -> Effect | None:
        """Give a tool's effect: the worst of what was recorded and of what the agent declares."""
        if name in self.writes or declared == "write":
            return "write"
        # What the agent does not declare is a write all the same, and is told as undeclared.
        return "control" if declared is not None and name in self.controls else declared

    def is_untold(self, name: str) -> bool:
        """Whether nobody who recorded it could say its effect."""
        return name in self.untold

    def is_known(self, name: str) -> bool:
        """Whether a recording holds a tool or retriever of this name that is no model."""
        return any(name in getattr(self, each.name) for each in fields(self))

    def joined(self, other: KnownEffects) -> KnownEffects:
        """Give the worst of two."""
        return KnownEffects(*(_union(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


NOTHING_KNOWN = KnownEffects()


def known_effects(
    recorded: Iterable[tuple[str, str | None, bool]], models: Collection[str] = ()
) -> KnownEffects:
    """Settle the effects of tools.

    Args:
        recorded: a name, its effect, and whether it was imported; as often as there are different ones. A retriever reads.
        models: the names that are recorded as models, too.
    """
    writes, controls, untold, reads = set(), set(), set(), set()
    for name, effect, imported in recorded:
        if effect == "control":
            controls.add(name)
        elif effect is None and imported:
            untold.add(name)
        elif effect != "read":
            writes.add(name)
        elif name not in models:
            reads.add(name)
    return KnownEffects(*(tuple(sorted(names)) for names in (writes, controls, untold, reads)))


def effects_from_json(said: Mapping[str, Any] | None) -> KnownEffects:
    """Read back what `asdict` made; of a manifest that is older, nothing."""
    known = said or {}
    return KnownEffects(*(tuple(map(str, known.get(f.name) or ())) for f in fields(KnownEffects)))


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))
