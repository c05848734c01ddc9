"""Answers every decorated call of a replay: from the recording, or not at all, unless the run's modes say otherwise.

The rules:

1. An agent's body runs. A model's runs when the model is live. Another body is entered only where the modes name its tool.
2. A call outside of the case's context is refused, and the case is invalid: its span would belong to no turn.
3. What the recording holds is served: its value, its error, its facts, and the hand-offs that happened inside it.
4. What it does not hold ends the case: a write, declared or not declared at all, as `blocked`; anything else as
   `diverged`. A hand-off is not made up either: it is the case's last step, plainly visible. For a read that is missed the
   modes may have something else: its recorded error, its body, or a simulation, each marked by its tier.
5. A tool that any recording of the store or the agent calls a write is a write (`effects`), and no retriever or model of its
   name runs. Neither does a model that the recordings know by its name as another tool or a retriever, and not as a model, too.
6. In a fork, what comes before it is served from the recording whatever the modes are.
7. After the case has ended, every further call is refused with what ended it.
8. A body that runs for real is told of before it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from auditlog.interception import Call, Raised, Served
from auditlog.values import Effect, Json
from replay.errors import CaseStop, NotServable, ReplayLeak, ReplayMiss, WriteBlocked
from replay.matching.callers import Caller, Callers
from replay.matching.cassette import Cassette, Hit, Miss
from replay.matching.recorded import Recorded, is_read, is_write
from replay.matching.revive import error_of
from replay.sandbox.answers import TIER, served
from replay.sandbox.effects import NOTHING_KNOWN, KnownEffects
from replay.sandbox.fork import Prefix
from replay.sandbox.modes import Modes
from replay.sandbox.simulate import Simulator, nearest_recorded
from replay.sandbox.state import CaseState, ProcessState, current_case

ModelAnswers = Callable[[Call], Served | Raised | None]
"""Answers a model's call from a cache; None lets its body run."""


class CaseInterceptor:
    """Stands below every decorator of the process."""

    def __init__(self, process: ProcessState) -> None:
        """Answer the calls of whatever case the process is in."""
        self._process = process
        self._effects = NOTHING_KNOWN
        self._cassette = Cassette(())
        self._callers = Callers()
        self.asked: set[str] = set()
        """The span ids of the calls of this case that were asked about."""
        self._modes = Modes()
        self._recorded: tuple[Recorded, ...] = ()
        self._prefix: Prefix | None = None
        self._cache: ModelAnswers | None = None
        self._simulator: Simulator = nearest_recorded
        self._lease: Callable[[], None] | None = None
        self._later: Callable[[], Awaitable[None]] | None = None
        self._tell: Callable[[str, Mapping[str, Json]], None] | None = None

    def believe(self, effects: KnownEffects) -> None:
        """Take what the recordings of the whole store say of tools."""
        self._effects = effects

    def simulate_with(self, simulator: Simulator) -> None:
        """Answer what is missed with this, where the modes are `simulate`."""
        self._simulator = simulator

    def load(
        self,
        cassette: Cassette,
        modes: Modes,
        recorded: tuple[Recorded, ...] = (),
        *,
        prefix: Prefix | None = None,
        cache: ModelAnswers | None = None,
    ) -> None:
        """Take the recording of the next case.

        Args:
            cassette: its recorded answers.
            modes: what is served, and what may run.
            recorded: the same recorded calls, to look for errors in.
            prefix: of a fork, what comes before it.
            cache: answers models where the modes are `cached`.
        """
        self._cassette, self._modes, self._recorded = cassette, modes, recorded
        self._prefix, self._cache = prefix, cache
        self._callers, self.asked = Callers(), set()

    @property
    def callers(self) -> Callers:
        """Who made each call of this case."""
        return self._callers

    def pace_with(
        self, lease: Callable[[], None], later: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Ask before each live model call.

        Args:
            lease: waits until the call may begin.
            later: the same for a coroutine, which keeps its event loop going meanwhile.
        """
        self._lease, self._later = lease, later

    def ended_early(self) -> str | None:
        """Of a fork: say that the agent ended before it; None where it did not."""
        return None if self._prefix is None else self._prefix.ended_early()

    def tell_with(self, tell: Callable[[str, Mapping[str, Json]], None]) -> None:
        """Say which bodies run for real, before they do.

        Args:
            tell: takes the call's span id, and its tier, where it has one.
        """
        self._tell = tell

    def before(self, call: Call) -> Served | Raised | None:
        """Answer a call; None lets the body run."""
        answer = self._answered(call)
        if answer is None and self._tell is not None and call.operation.kind != "agent":
            self._tell(call.span_id, {TIER: call.facts[TIER]} if TIER in call.facts else {})
        return answer

    def _answered(self, call: Call) -> Served | Raised | None:
        self.asked.add(call.span_id)
        operation = call.operation
        case = self._process.case
        if case is None or current_case.get() is not case:
            return self._leak(call, case)
        if case.stopped is not None:
            return Raised(case.stopped, {TIER: "stopped"})
        # Agents and models, whose bodies run, are told too: their calls are called from there.
        caller = self._callers.begin(
            call.span_id, call.parent_span_id, operation.kind, operation.name, call.arguments
        )
        if operation.kind == "agent":
            return None
        effect = self._effect(call)
        if self._prefix is not None and not self._prefix.over:
            return self._prefix.answer(case, call, effect, caller, _missed)
        if (
            operation.kind == "model"
            and self._modes.model != "recorded"
            and not self._is_tool(operation.name)
        ):
            answer = self._model(case, call)
            if answer is None and self._lease is not None:
                if call.awaits and self._later is not None:
                    call.first.append(self._later)
                else:
                    self._lease()
            return answer
        if is_write(operation.kind, effect) and self._modes.write_runs(operation.name, operation.kind):
            # What is recorded of it is used up, so that the reads after it are those after a write.
            if isinstance(self._take(call, effect, caller, entered=True), Miss):
                self._cassette.count_write()
            return _run(call)
        if is_read(operation.kind, effect):
            return self._read(case, call, effect, caller)
        found = self._take(call, effect, caller)
        if not isinstance(found, Miss):
            return served(case, call, found)
        if operation.kind == "model" and self._modes.model != "recorded":
            stop = ReplayMiss(
                f"{operation.name} was not run: recordings of this store call it a tool, and none a model."
            )
            return Raised(case.stop(stop), {TIER: "miss", **found.facts()})
        return _missed(case, call, found, effect)

    def _model(self, case: CaseState, call: Call) -> Served | Raised | None:
        if self._modes.model == "live":
            return None
        if self._cache is None:
            stop = NotServable(
                f"{call.operation.name} was not served: this run caches models, and has no cache."
            )
            return Raised(case.stop(stop), {TIER: "unservable"})
        return self._cache(call)

    def _read(
        self, case: CaseState, call: Call, effect: Effect | None, caller: Caller
    ) -> Served | Raised | None:
        modes, operation = self._modes, call.operation
        if modes.reads == "deny":
            stop = ReplayMiss(f"{operation.name} was not served: this run denies reads.")
            return Raised(case.stop(stop), {TIER: "miss", "auditlog.replay.miss_rule": "denied"})
        may_run = modes.read_runs(operation.name, operation.kind, effect) and not self._effects.is_untold(
            operation.name
        )
        if may_run and modes.reads == "live":
            return _run(call)
        found = self._take(call, effect, caller)
        if not isinstance(found, Miss):
            if may_run and modes.live_on_miss and found.recorded.unservable is not None:
                return _run(call)
            return served(case, call, found)
        if may_run and modes.live_on_miss:
            return _run(call)
        if modes.on_miss == "recorded_error" and (failed := self._error_of(call)) is not None:
            facts = {TIER: "recorded_error", "auditlog.replay.served_span_id": failed.span_id}
            assert failed.fault is not None
            return Raised(error_of(failed.fault), facts)
        if modes.on_miss == "simulate":
            answer = self._simulator(call, found.nearest)
            if answer is not None:
                return answer
        return _missed(case, call, found, effect)

    def _take(
        self, call: Call, effect: Effect | None, caller: Caller, *, entered: bool = False
    ) -> Hit | Miss:
        operation = call.operation
        return self._cassette.take(
            operation.kind,
            operation.name,
            call.arguments,
            effect=effect,
            digest=operation.digest,
            caller=caller,
            entered=entered,
        )

    def _error_of(self, call: Call) -> Recorded | None:
        same = (call.operation.kind, call.operation.name)
        return next((r for r in self._recorded if (r.kind, r.name) == same and r.fault is not None), None)

    def _effect(self, call: Call) -> Effect | None:
        operation = call.operation
        if operation.kind not in ("tool", "retriever"):
            return operation.effect
        here = self._cassette.effect_of("tool", operation.name)
        # A retriever only reads, says who declares it.
        declared = "read" if operation.kind == "retriever" else operation.effect
        return "write" if here == "write" else self._effects.effect(operation.name, declared)

    def _is_tool(self, name: str) -> bool:
        """Whether the recordings know this name as a tool's: whoever calls it a model cannot have it run."""
        return self._effects.is_known(name) or self._cassette.effect_of("tool", name) not in (None, "read")

    def _leak(self, call: Call, case: CaseState | None) -> Raised:
        left_behind = case is not None and current_case.get() is not None
        where = (
            "after its case was over, from something that an earlier case left behind"
            if left_behind
            else "outside of the case's context (auditlog.propagate(executor) and asyncio.to_thread hand it on to threads)"
        )
        what = f"call {call.operation.kind} {call.operation.name} {where}"
        self._process.remember(what)
        leak: CaseStop = ReplayLeak(
            f"The agent tried to {what}: on a thread that lost it, or before or after the case. "
            "Put what a module does when it is run under `if __name__ == '__main__':`."
        )
        return Raised(leak if case is None else case.stop(leak), {TIER: "leak"})


def _run(call: Call) -> None:
    """Let the body run, and say so on its span."""
    call.facts[TIER] = "live"


def _missed(case: CaseState, call: Call, miss: Miss, effect: Effect | None) -> Raised:
    operation = call.operation
    why = miss.explain(operation.kind, operation.name)
    writes = is_write(operation.kind, effect)
    stop: CaseStop
    if writes:
        if operation.effect == "write":
            declared = "a write"
        elif effect == "write":
            declared = "a write, or undeclared, in recordings of this store, whatever it is declared now"
        else:
            declared = "taken for a write, since its effect is not declared"
        stop = WriteBlocked(f"{operation.name} ({declared}) was blocked: {why}.")
    else:
        stop = ReplayMiss(f"{operation.name} was not served: {why}.")
    tier = "blocked" if writes else "miss"
    return Raised(case.stop(stop), {TIER: tier, **miss.facts()})
