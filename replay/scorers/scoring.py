"""Scores a run: asks scorers about its executions, and appends what they say.

The rules:

1. Scorers run in processes of their own, with what was recorded and nothing else; a plug-in shares its process with no
   other scorer. Only a scorer that names a host reaches one, and only a host that whoever scores allows by name.
2. A scorer that does not load is named, its executions stay unscored, and the others go on.
3. What is scored already (same scorer, version and configuration) is left out; what failed is tried again. `again`
   asks everything anew. Nothing is overwritten.
4. Scores are appended as they come: a scoring that was interrupted goes on where it was.
5. A run of any length is scored with flat memory, and only what finished is scored: what a case lacks stays unscored.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.canonical import digest_of
from replay.errors import ScorerError
from replay.results.trials import case_trials
from replay.running.appending import Appender, appending
from replay.running.cases import Case
from replay.running.runs import load_manifest
from replay.sandbox.hosts import parse_host
from replay.scorers.groups import Group, Means, ScorerTally, grouped, refuse_twins, spec_of
from replay.scorers.keeping import Cell, Said, load_run_scores, load_scores, payload_of, set_payload_of
from replay.scorers.model import Score, Scorer, ScorerKey, Subject
from replay.scorers.pool import ScoringWorker
from replay.scorers.specs import ScorerSpec
from replay.scorers.subjects import Expectations, subjects_of

if TYPE_CHECKING:
    from auditlog.store import Store

__all__ = [
    "Group",
    "ScoringProgress",
    "ScoringReport",
    "load_run_scores",
    "load_scores",
    "score_run",
    "scorer_groups",
    "scorer_keys",
]

DEADLINE_SECONDS = 30.0
"""How long one score may take."""
HOST_DEADLINE_SECONDS = 300.0
"""How long one may take that asks a host, retries and all."""

_DONE = object()


@dataclass(frozen=True, slots=True)
class ScoringProgress:
    """How far a scoring is."""

    done: int
    """Executions."""
    total: int
    failed: int
    """Scores that failed so far."""


@dataclass(frozen=True, slots=True)
class ScoringReport:
    """What a scoring did."""

    run_id: str
    executions: int
    scorers: tuple[ScorerTally, ...]

    @property
    def failed(self) -> bool:
        """Whether a scorer did not load, or failed on something."""
        return any(tally.error or tally.failed for tally in self.scorers)


def score_run(
    store: Store,
    run_id: str,
    scorers: Iterable[str | ScorerSpec | Scorer],
    *,
    progress: Callable[[ScoringProgress], None] | None = None,
    expectations: Expectations | None = None,
    hosts: Iterable[str] = (),
    env: Iterable[str] = (),
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    deadline: float | None = None,
    again: bool = False,
    isolated: bool = True,
) -> ScoringReport:
    """Score a run's finished executions.

    Args:
        store: where the run is, and where the scores go.
        run_id: its id, a beginning of it, or `last`.
        scorers: names, import paths, specs, or scorers themselves.
        progress: called after each execution.
        expectations: what is expected of the cases, by the recorded agent span's id.
        hosts: hosts that scorers may reach, as `name:port` or an address.
        env: variables that scorers get, such as a judge's key.
        path: where scorers are imported from, besides the installed packages.
        workers: processes for each group of scorers; one a core where it is not given.
        deadline: seconds that one score may take; by default 30, and 300 for a scorer that asks a host.
        again: ask about what is scored already, too.
        isolated: False runs the scorers in this very process, without locks and deadline: for scorers that cannot be
            imported by name, such as those of a test.

    Raises:
        NotFoundError: there is no such run.
        ScorerError: the run cannot be scored, or a worker does not start.
        StoreError: the scores cannot be written.
    """
    manifest = load_manifest(store, run_id)
    if manifest["kind"] == "compare":
        msg = f"Run {manifest['run_id']} is a comparison of recordings, in which nothing ran; score a replay."
        raise ScorerError(msg)
    asked = [spec_of(one, isolated=isolated) for one in scorers]
    if not asked:
        msg = "No scorer is named. `auditlog replay scorers` lists them."
        raise ScorerError(msg)
    groups = grouped(asked, _means(hosts, env, path, expectations), isolated=isolated)
    refuse_twins(groups)
    scoring = _Scoring(store, manifest, groups, expectations, deadline, again, isolated, progress)
    count = workers or os.cpu_count() or 1
    with appending(store, "The scores") as appender:
        scoring.cases(appender, count)
        scoring.sets(appender)
    store.refresh()
    tallies = [tally for group in groups for tally in group.tallies]
    place = {
        str(one if isinstance(one, ScorerSpec) else ScorerSpec(one.name)): at for at, one in enumerate(asked)
    }
    tallies.sort(key=lambda tally: place[str(tally.spec)])
    return ScoringReport(manifest["run_id"], scoring.done, tuple(tallies))


def scorer_keys(
    scorers: Iterable[ScorerSpec],
    *,
    expectations: Expectations | None = None,
    path: str | os.PathLike[str] | None = None,
) -> list[ScorerTally]:
    """Find out what some scorers are, and so what their scores are kept by; none is asked anything.

    Args:
        scorers: the scorers.
        expectations: what is expected of the cases.
        path: where scorers are imported from, besides the installed packages.
    """
    means = _means((), (), path, expectations)._replace(asks=False)
    return [tally for group in grouped(list(scorers), means, isolated=True) for tally in group.tallies]


def scorer_groups(
    scorers: Iterable[ScorerSpec], *, path: str | os.PathLike[str] | None = None
) -> list[Group]:
    """Give scorers by the processes that they share, for whoever asks them without a run; none may reach a host."""
    return grouped(list(scorers), _means((), (), path, None), isolated=True)


def _means(
    hosts: Iterable[str],
    env: Iterable[str],
    path: str | os.PathLike[str] | None,
    expectations: Expectations | None,
) -> Means:
    allowed = frozenset((host.name, host.port) for host in map(parse_host, hosts))
    expected = digest_of({k: dict(v) for k, v in expectations.items()}) if expectations else ""
    return Means(allowed, (str(Path(path or Path.cwd()).resolve()),), tuple(env), expected)


class _Scoring:
    def __init__(
        self,
        store: Store,
        manifest: Mapping[str, Any],
        groups: Sequence[Group],
        expectations: Expectations | None,
        deadline: float | None,
        again: bool,
        isolated: bool,
        progress: Callable[[ScoringProgress], None] | None,
    ) -> None:
        self._store, self._manifest, self._groups = store, manifest, groups
        self._expectations, self._given_deadline, self._isolated = expectations, deadline, isolated
        self._progress = progress
        self.done = 0
        kept = load_run_scores(store, manifest["run_id"])
        self._scored: Mapping[ScorerKey, set[Cell]] = (
            {}
            if again
            else {
                key: {cell for cell, score in cells.items() if not score.failed}
                for key, cells in kept.scores.items()
            }
        )

    def _deadline(self, group: Group) -> float:
        usual = HOST_DEADLINE_SECONDS if group.setup.hosts else DEADLINE_SECONDS
        return self._given_deadline or usual

    def cases(self, appender: Appender, count: int) -> None:
        """Ask the scorers of executions."""
        if not any(t.info is not None and t.info.kind == "case" for g in self._groups for t in g.tallies):
            return
        results = self._in_process() if self._isolated is False else self._by_workers(count)
        # The cases are known, and so are their executions, roughly: a repeat more or less is no harm to a line of progress.
        arms = 1 if self._manifest.get("baseline") is None else 2
        sampled = sum(Case(*case).sampled for case in self._manifest["cases"]) if arms == 2 else 0
        total = (len(self._manifest["cases"]) * arms + sampled) * int(self._manifest.get("repeats") or 1)
        for subject, said in results:
            if said:
                appender.append([payload_of(self._manifest["run_id"], subject, said)])
            self.done += 1
            if self._progress is not None:
                failed = sum(tally.failed for group in self._groups for tally in group.tallies)
                self._progress(ScoringProgress(self.done, max(total, self.done), failed))

    def sets(self, appender: Appender) -> None:
        """Ask the scorers of sets; those are asked anew each time, since the set may have grown."""
        for group in self._groups:
            for index, tally in enumerate(group.tallies):
                if tally.info is None or tally.info.kind != "set":
                    continue
                for arm in ("baseline", "baseline_2", "candidate"):
                    score = self._of_arm(group, index, arm)
                    if score is None:
                        continue
                    _count(tally, score)
                    said = [Said(tally.info, score)]
                    appender.append([set_payload_of(self._manifest["run_id"], arm, said)])

    def _of_arm(self, group: Group, index: int, arm: str) -> Score | None:
        subjects = (subject for subject in self._subjects() if subject.arm == arm)
        first = next(subjects, None)
        if first is None:
            return None

        def every() -> Iterator[Subject]:
            yield first
            yield from subjects

        scorer = group.scorers[index] if group.scorers else None
        if scorer is not None:
            return scorer.score_set(every())
        with ScoringWorker(group.setup, self._deadline(group)) as worker:
            return worker.score_set(index, every())

    def _subjects(self) -> Iterator[Subject]:
        has_baseline = self._manifest.get("baseline") is not None
        for tried in case_trials(self._store, self._manifest):
            yield from subjects_of(tried, has_baseline=has_baseline, expectations=self._expectations)

    def _wanted(self, group: Group, subject: Subject) -> list[int]:
        cell = (subject.case.case_id, subject.arm, subject.repeat)
        wanted = []
        for index, tally in enumerate(group.tallies):
            if tally.info is None or tally.info.kind != "case":
                continue
            if cell in self._scored.get(tally.info.key, ()):
                tally.kept += 1
            else:
                wanted.append(index)
        return wanted

    def _in_process(self) -> Iterator[tuple[Subject, list[Said]]]:
        for subject in self._subjects():
            said: list[Said] = []
            for group in self._groups:
                for index in self._wanted(group, subject):
                    scorer, tally = group.scorers[index], group.tallies[index]
                    assert scorer is not None
                    assert tally.info is not None
                    score = scorer.score(subject)
                    _count(tally, score)
                    said.append(Said(tally.info, score))
            yield subject, said

    def _by_workers(self, count: int) -> Iterator[tuple[Subject, list[Said]]]:
        """Hand each execution to each group's workers, and give it back when all have answered."""
        live = [group for group in self._groups if any(t.info is not None for t in group.tallies)]
        given: list[queue.Queue[Any]] = [queue.Queue(4 * count) for _ in live]
        answers: queue.Queue[Any] = queue.Queue()
        stop = threading.Event()
        workers = {
            ScoringWorker(group.setup, self._deadline(group)): jobs
            for group, jobs in zip(live, given, strict=True)
            for _ in range(count)
        }
        threads = [
            threading.Thread(target=_serve, args=(worker, jobs, answers, stop), daemon=True)
            for worker, jobs in workers.items()
        ]
        for thread in threads:
            thread.start()
        open_cells: dict[Cell, _Open] = {}
        is_over = False
        try:
            for subject in self._subjects():
                wanted = [self._wanted(group, subject) for group in live]
                asked = [at for at, indexes in enumerate(wanted) if indexes]
                if not asked:
                    yield subject, []
                    continue
                cell = (subject.case.case_id, subject.arm, subject.repeat)
                open_cells[cell] = _Open(subject, len(asked))
                for at in asked:
                    given[at].put((cell, at, subject, wanted[at]))
                while len(open_cells) > 4 * count:
                    yield from self._answered(answers.get(), open_cells, live)
            while open_cells:
                yield from self._answered(answers.get(), open_cells, live)
            is_over = True
        finally:
            stop.set()
            for worker in () if is_over else workers:
                # Whoever interrupts does not want to wait for an answer.
                worker.kill()
            for jobs in given:
                _drain(jobs)
                for _ in range(count):
                    jobs.put(_DONE)
            for thread in threads:
                thread.join()

    def _answered(
        self, answer: Any, open_cells: dict[Cell, _Open], live: Sequence[Group]
    ) -> Iterator[tuple[Subject, list[Said]]]:
        if isinstance(answer, BaseException):
            raise answer
        cell, at, scores = answer
        opened = open_cells[cell]
        for index, score in scores:
            tally = live[at].tallies[index]
            assert tally.info is not None
            _count(tally, score)
            opened.said.append(Said(tally.info, score))
        opened.waiting -= 1
        if not opened.waiting:
            del open_cells[cell]
            yield opened.subject, opened.said


@dataclass(slots=True)
class _Open:
    """An execution that not every group has answered about."""

    subject: Subject
    waiting: int
    said: list[Said] = field(default_factory=list)


def _serve(
    worker: ScoringWorker, jobs: queue.Queue[Any], answers: queue.Queue[Any], stop: threading.Event
) -> None:
    """Answer a group's jobs until told to stop. The thread outlives its worker, which would die with it."""
    with worker:
        while (job := jobs.get()) is not _DONE:
            cell, at, subject, indexes = job
            try:
                scores = []
                for one in worker.score(subject, indexes):
                    scores.append(one)
                    if stop.is_set():
                        break
                answers.put((cell, at, scores))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the answer raises it
                answers.put(error)


def _drain(jobs: queue.Queue[Any]) -> None:
    try:
        while True:
            jobs.get_nowait()
    except queue.Empty:
        pass


def _count(tally: ScorerTally, score: Score) -> None:
    tally.cost_usd += score.cost_usd or 0.0
    tally.tokens += score.tokens or 0
    if score.failed:
        tally.failed += 1
        tally.first_failure = tally.first_failure or score.explanation
    elif score.value is None:
        tally.unscored += 1
    else:
        tally.scored += 1
        tally.below += score.value < 1
