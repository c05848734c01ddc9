"""Scores in the store: appended, never overwritten, and read back.

The rules:

1. What was said of one execution in one scoring is one record, kind `other`, named `replay_scores`, with the run's id.
2. It names the trace of the recorded turn, so that erasing a customer's conversation takes what was said of it along.
   What was said of a whole arm belongs to the run's own records.
3. Scores are known by (scorer, version, config digest). Of several of one key, the last counts; a failed one never
   takes the place of one that did not fail.
4. A judge that is not calibrated well enough is secondary here, whatever level it was asked for with.
5. An execution is done for a scorer when a score of its key is there that did not fail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from replay.running.records import ARM, REPEAT, RUN, SOURCE_TRACE, own_records, run_span
from replay.scorers.model import LEVELS, Level, Score, ScorerKey, Subject

if TYPE_CHECKING:
    from auditlog.store import Store

SCORES = "replay_scores"
"""The name of the records."""

Cell = tuple[str, str, int]
"""Case id, arm, repeat. A score of a whole arm has the case id "" and the repeat 0."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class ScorerInfo:
    """What is known of a scorer that scored a run."""

    key: ScorerKey
    level: Level
    kind: str
    """`case` or `set`."""
    summary: str = ""
    judges: bool = False
    """A model decides."""
    note: str = ""
    """What whoever reads its scores should know, such as that a judge is not calibrated."""


@dataclass(frozen=True, slots=True)
class Said:
    """One scorer's score of one execution, or of an arm."""

    scorer: ScorerInfo
    score: Score


@dataclass(frozen=True, slots=True)
class RunScores:
    """Every score of a run that counts."""

    scorers: Mapping[ScorerKey, ScorerInfo]
    """As the last scoring with that key said it."""
    scores: Mapping[ScorerKey, Mapping[Cell, Score]]
    """By execution."""
    set_scores: Mapping[ScorerKey, Mapping[str, Score]]
    """By arm, for scorers of a set."""

    def by_case(self) -> dict[str, list[tuple[ScorerInfo, Cell, Score]]]:
        """Give the scores of each case, by scorer, arm and repeat."""
        found: dict[str, list[tuple[ScorerInfo, Cell, Score]]] = defaultdict(list)
        for key, cells in self.scores.items():
            for cell in sorted(cells):
                found[cell[0]].append((self.scorers[key], cell, cells[cell]))
        return dict(found)


def load_run_scores(store: Store, run_id: str) -> RunScores:
    """Give a run's scores.

    Args:
        store: where the run is.
        run_id: its whole id.
    """
    infos: dict[ScorerKey, ScorerInfo] = {}
    scores: dict[ScorerKey, dict[Cell, Score]] = {}
    of_sets: dict[ScorerKey, dict[str, Score]] = defaultdict(dict)
    for cell, said in _records(store, run_id):
        key = said.scorer.key
        infos[key] = said.scorer
        if said.scorer.kind == "set":
            _keep(of_sets[key], cell[1], said.score)
        else:
            _keep(scores.setdefault(key, {}), cell, said.score)
    allowed = _allowed(store, infos)
    ordered = sorted(allowed, key=lambda key: (LEVELS.index(allowed[key].level), key))
    return RunScores(
        {key: allowed[key] for key in ordered},
        {key: scores[key] for key in ordered if key in scores},
        {key: dict(of_sets[key]) for key in ordered if key in of_sets},
    )


def load_case_scores(
    store: Store, run_id: str, case_id: str, conversation_id: str
) -> list[tuple[ScorerInfo, Cell, Score]]:
    """Give the scores of one case, reading what was said of its conversation only.

    Args:
        store: where the run is.
        run_id: its whole id.
        case_id: the case.
        conversation_id: the recorded conversation that it is a turn of.
    """
    infos: dict[ScorerKey, ScorerInfo] = {}
    found: dict[tuple[ScorerKey, Cell], Score] = {}
    for cell, said in _records(store, run_id, _conversation(run_id, conversation_id)):
        if cell[0] == case_id:
            infos[said.scorer.key] = said.scorer
            _keep(found, (said.scorer.key, cell), said.score)
    allowed = _allowed(store, infos)
    at = sorted(found, key=lambda one: (LEVELS.index(allowed[one[0]].level), one))
    return [(allowed[key], cell, found[key, cell]) for key, cell in at]


def _conversation(run_id: str, conversation_id: str) -> str:
    return f"{run_id}/scores/{conversation_id}"


def _allowed(store: Store, infos: Mapping[ScorerKey, ScorerInfo]) -> dict[ScorerKey, ScorerInfo]:
    """Make a judge secondary that is not calibrated well enough, and say why."""
    if not any(info.judges for info in infos.values()):
        return dict(infos)
    from replay.scorers.judge.calibration import load_calibrations

    known = load_calibrations(store)
    allowed: dict[ScorerKey, ScorerInfo] = {}
    for key, info in infos.items():
        found = known.get(key)
        why = "not calibrated" if found is None else found.why_secondary
        demoted = info.judges and bool(why)
        allowed[key] = replace(info, level="secondary", note=f"secondary: {why}") if demoted else info
    return allowed


def load_scores(store: Store, run_id: str) -> Mapping[ScorerKey, Mapping[Cell, Score]]:
    """Give a run's scores of executions, by scorer and then by case id, arm and repeat."""
    return load_run_scores(store, run_id).scores


def payload_of(run_id: str, subject: Subject, said: Iterable[Said]) -> bytes:
    """Make the record of what was said of an execution."""
    case = subject.case
    attributes = {ARM: subject.arm, REPEAT: subject.repeat, SOURCE_TRACE: case.trace_id}
    return _payload(
        run_id,
        (case.case_id, subject.arm, subject.repeat),
        said,
        attributes,
        _conversation(run_id, case.conversation_id),
    )


def set_payload_of(run_id: str, arm: str, said: Iterable[Said]) -> bytes:
    """Make the record of what was said of a whole arm."""
    return _payload(run_id, ("", arm, 0), said, {ARM: arm}, None)


def _payload(
    run_id: str, cell: Cell, said: Iterable[Said], attributes: Mapping[str, Any], conversation: str | None
) -> bytes:
    case_id, arm, repeat = cell
    content = {
        "version": _VERSION,
        "case": case_id,
        "arm": arm,
        "repeat": repeat,
        "scores": [_written(one) for one in said],
    }
    return run_span(SCORES, run_id, content, {RUN: run_id, **attributes}, conversation)


def _keep(found: dict[Any, Score], at: Any, score: Score) -> None:
    if not score.failed or at not in found or found[at].failed:
        found[at] = score


def _written(said: Said) -> dict[str, Any]:
    info = said.scorer
    beside = {"level": info.level, "kind": info.kind, "summary": info.summary, "judges": info.judges}
    written = {**info.key._asdict(), **beside, **_fields(said.score), "evidence": list(said.score.evidence)}
    return {
        name: value for name, value in written.items() if value not in ("", None, False) or name == "value"
    }


_SCORE_FIELDS = tuple(field.name for field in fields(Score))


def _fields(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in _SCORE_FIELDS}


def _records(store: Store, run_id: str, conversation: str | None = None) -> Iterator[tuple[Cell, Said]]:
    """Give what was said, oldest first; what is no such record (any more) is passed over."""
    condition, given = ("", []) if conversation is None else ("conversation_id = ?", [conversation])
    for span in sorted(own_records(store, SCORES, run_id, condition, given), key=lambda span: span.start_ns):
        match span.input:
            case {
                "version": int(version),
                "case": str(case_id),
                "arm": str(arm),
                "repeat": int(repeat),
                "scores": [*found],
            } if version <= _VERSION:
                for one in found:
                    if (said := _read(one)) is not None:
                        yield (case_id, arm, repeat), said
            case _:
                pass


def _read(content: Any) -> Said | None:
    match content:
        case {
            "scorer": str(name),
            "version": str(version),
            "config": str(config),
            "level": str(level),
            "kind": str(kind),
            "value": (int() | float() | None) as value,
            **rest,
        } if level in LEVELS:
            info = ScorerInfo(
                ScorerKey(name, version, config),
                level,  # type: ignore[arg-type]
                kind,
                str(rest.get("summary") or ""),
                bool(rest.get("judges")),
            )
            score = Score(
                None if value is None else float(value),
                str(rest.get("label") or ""),
                tuple(map(str, rest.get("evidence") or ())),
                str(rest.get("explanation") or ""),
                rest.get("cost_usd"),
                rest.get("tokens"),
                bool(rest.get("failed")),
            )
            return Said(info, score)
        case _:
            return None
