"""What a run serves from the recording, and what it lets happen: the modes, as one value.

The rules:

1. The defaults touch nothing: models run and reach only the hosts that are allowed, reads are served, writes are served
   once or block their case, and what the recording does not hold ends its case.
2. What may happen for real is named tool by tool, by its whole name; a pattern is refused, since it would let through a tool
   that nobody thought of.
3. A live write takes two words from whoever starts the run: its tool by name, and that writes are live at all. It is said
   in the manifest, in the run's line and as a warning.
4. A live read must be of a tool that is declared `read`, or of a retriever, and no recording calls it anything else. Whatever
   is live runs behind the same locks: it reaches the hosts that are allowed, and has the variables that are let through.
5. An answer that was not recorded for the call that it answers is not evidence, whichever tier it has: its span says so, and
   its case never counts for the gate.

Pure: a value, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from auditlog.values import Effect
from replay.errors import RunError

ModelMode = Literal["live", "recorded", "cached"]
ReadMode = Literal["recorded", "live", "hybrid", "deny"]
WriteMode = Literal["recorded_or_block", "live"]
MissMode = Literal["diverge", "recorded_error", "live", "simulate"]

MODELS: tuple[ModelMode, ...] = get_args(ModelMode)
READS: tuple[ReadMode, ...] = get_args(ReadMode)
MISSES: tuple[MissMode, ...] = get_args(MissMode)

SIMULATED = "simulated"
"""The tier of an answer that was made up."""
MADE_UP: Mapping[str, str] = {
    SIMULATED: "simulated",
    "recorded_error": "the error of another call",
    "forked": "what a model said when it was asked something else",
}
"""The tiers of answers that nobody gave to the call that they answer, and what they are."""

_PATTERN = frozenset("*?[]{}!")


@dataclass(frozen=True, slots=True)
class Modes:
    """What a run serves and what it lets happen."""

    model: ModelMode = "live"
    reads: ReadMode = "recorded"
    """`hybrid` is recorded first, and live where that is missed."""
    writes: WriteMode = "recorded_or_block"
    on_miss: MissMode = "diverge"
    """Of a read, a retriever among them."""
    live_reads: tuple[str, ...] = ()
    """The tools and retrievers that may run for real, by name."""
    live_writes: tuple[str, ...] = ()
    """The tools whose writes happen for real, by name."""
    simulator: str = ""
    """`module:function` that answers misses; empty for the result of the nearest recorded call."""
    prefix: int = 0
    """So many calls of a case, models among them, are served exactly as recorded before these modes begin."""
    fresh_worker: bool = False
    """Each case has a process of its own."""

    @property
    def model_is_served(self) -> bool:
        """Whether a case needs the recorded model calls."""
        return self.model == "recorded" or self.prefix > 0

    @property
    def reaches_out(self) -> bool:
        """Whether anything runs for real: where all is served, no host is reached."""
        return self.model != "recorded" or bool(self.live_reads or self.live_writes)

    @property
    def repeatable(self) -> bool:
        """Whether running a case again touches nothing more than running it once."""
        return not self.live_writes

    def read_runs(self, name: str, kind: str, effect: Effect | None) -> bool:
        """Whether a call's body may run as a live read.

        Args:
            name: the tool's or retriever's name.
            kind: `tool` or `retriever`.
            effect: its effect, as the agent and the recording say.
        """
        reads = effect == "read" or (kind == "retriever" and effect is None)
        return name in self.live_reads and kind in ("tool", "retriever") and reads

    def write_runs(self, name: str, kind: str) -> bool:
        """Whether a call's body may run as a live write."""
        return self.writes == "live" and kind == "tool" and name in self.live_writes

    @property
    def live_on_miss(self) -> bool:
        """Whether a read that the recording does not hold runs, where its tool is allowed."""
        return self.reads == "hybrid" or self.on_miss == "live"

    def line(self, network: Iterable[str]) -> str:
        """Say it in one line.

        Args:
            network: the hosts that are allowed.
        """
        said = [f"model={self.model}", f"read={self.reads}"]
        if self.live_reads:
            said.append(f"live_reads={','.join(self.live_reads)}")
        said.append(f"write={self.writes}")
        if self.live_writes:
            said.append(f"live_writes={','.join(self.live_writes)}")
        if self.on_miss != "diverge":
            said.append(f"miss={self.on_miss}")
        if self.prefix:
            said.append(f"fork_at={self.prefix}")
        return " ".join((*said, f"network={','.join(network) or 'deny'}"))

    def warnings(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """Give what whoever starts the run should know.

        Args:
            hosts: the hosts that are allowed.
        """
        found = []
        if self.live_writes:
            found.append(
                f"WARNING: {_listed(self.live_writes)} will write for real in this run, in every case and every arm that "
                "calls it, and again where an interrupted case is run again."
            )
        if (self.live_reads or self.live_writes) and not tuple(hosts):
            found.append(
                "Tools are allowed to run, and no host is: what they ask over a network is refused. Allow it with --allow-host."
            )
        if self.on_miss == "simulate":
            found.append(
                "Calls that the recording does not hold are answered with a simulation. Such cases are marked, and never "
                "count for the gate."
            )
        return tuple(found)

    def only_served(self) -> Modes:
        """Give the modes of a run that serves everything and lets nothing happen, as a verify does."""
        return Modes(model="recorded", fresh_worker=self.fresh_worker)


SERVING = Modes()
"""The defaults: everything served, but for models."""


def check(modes: Modes) -> Modes:
    """Refuse modes that have no meaning, or that let something happen without saying all of it.

    Raises:
        RunError: what is wrong, and what to write.
    """
    for name, allowed in (("model", MODELS), ("reads", READS), ("on_miss", MISSES)):
        if getattr(modes, name) not in allowed:
            raise RunError(f"{getattr(modes, name)!r} is no mode of {name}. There are {', '.join(allowed)}.")
    for option, names in (("--live-read", modes.live_reads), ("--live-write", modes.live_writes)):
        for name in names:
            if not name.strip() or _PATTERN & set(name):
                msg = f"{option} takes the whole name of one tool, and {name!r} is none. Name each tool: patterns are refused."
                raise RunError(msg)
    if both := sorted(set(modes.live_reads) & set(modes.live_writes)):
        raise RunError(f"{_listed(both)} cannot be both a live read and a live write. Name it once.")
    if modes.live_writes and modes.writes != "live":
        msg = (
            f"--live-write {modes.live_writes[0]} lets a write happen for real, and takes --allow-live-writes beside it. "
            "Leave both out to have writes blocked."
        )
        raise RunError(msg)
    if modes.writes == "live" and not modes.live_writes:
        raise RunError(
            "--allow-live-writes names no tool. Name each one whose writes may happen with --live-write TOOL."
        )
    _check_reads(modes)
    if modes.prefix < 0:
        raise RunError(f"A fork is at a call from 0 on, and not at {modes.prefix}.")
    return modes


def _check_reads(modes: Modes) -> None:
    goes_live = modes.reads in ("live", "hybrid") or modes.on_miss == "live"
    how = f"--reads {modes.reads}" if modes.reads in ("live", "hybrid") else f"--on-miss {modes.on_miss}"
    if goes_live and not modes.live_reads:
        raise RunError(f"{how} names no tool. Name each one that may run with --live-read TOOL.")
    if modes.live_reads and not goes_live:
        raise RunError(
            f"--live-read {modes.live_reads[0]} has no meaning while reads are {modes.reads}. "
            "Add --reads hybrid (recorded first) or --reads live."
        )
    if modes.reads == "deny" and modes.on_miss != "diverge":
        raise RunError(
            f"With --reads deny no read is answered, so --on-miss {modes.on_miss} has no meaning. Leave one out."
        )
    if modes.simulator and modes.on_miss != "simulate":
        raise RunError("--simulator answers misses, and takes --on-miss simulate beside it.")
    module, colon, function = modes.simulator.partition(":")
    if modes.simulator and not (module and colon and function):
        raise RunError(f"{modes.simulator!r} names no function. Write module:function.")


def modes_from_json(fields_of: Mapping[str, Any]) -> Modes:
    """Read back what `asdict` made of modes; of a manifest that is older than they are, its `model` alone."""
    known = {field.name for field in fields(Modes)}
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields_of.items()
        if name in known
    }
    return replace(Modes(), **found)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
