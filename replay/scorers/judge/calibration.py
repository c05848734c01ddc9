"""How well a judge agrees with people, and what that allows it.

The rules:

1. A judge's scores of a run are compared with people's labels of the same executions: Cohen's κ with its interval.
2. At least 100 labels, and a κ whose lower bound is 0.6 or more, let a judge be what the policy asks of it. With less it is
   secondary, whatever the policy says, and its scores say why.
3. A calibration belongs to the judge's name, version and configuration: another model, rubric or prompt is another judge.
4. It is appended to the store like a score; of several the last counts.
5. An execution that the judge left unscored agrees with nobody: it counts as a disagreement, not as missing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.errors import ScorerError
from replay.running.records import own_records, run_span
from replay.scorers.model import ScorerKey

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.scorers.keeping import Cell
    from replay.scorers.model import Score

CALIBRATION = "replay_calibration"
"""The name of the records."""

FEWEST_LABELS = 100
LEAST_KAPPA = 0.6
_GOOD = frozenset({"1", "1.0", "yes", "pass", "true", "good", "ok", "y", "ja"})
_BAD = frozenset({"0", "0.0", "no", "fail", "false", "bad", "n", "nein"})
_UNSCORED = "unscored"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a judge agrees with people."""

    key: ScorerKey
    run_id: str
    labels: int
    agreed: int
    unscored: int
    """Labelled executions that the judge left unscored."""
    kappa: float | None
    low: float
    high: float
    confidence: float
    counts: Mapping[str, int]
    """By `people/judge`, such as `good/bad`."""
    labels_digest: str
    """SHA-256 of the labels' file."""

    @property
    def why_secondary(self) -> str:
        """Why the judge may be no more than secondary; empty where it may."""
        if self.labels < FEWEST_LABELS:
            return f"calibrated on {self.labels} labels; {FEWEST_LABELS} are needed"
        if self.kappa is None:
            return "κ is not defined: one label only"
        if self.low < LEAST_KAPPA:
            return f"κ {self.kappa:.2f} [{self.low:.2f}, {self.high:.2f}]: its lower bound is below {LEAST_KAPPA}"
        return ""


def calibrate(
    run_id: str, key: ScorerKey, scores: Mapping[Cell, Score], labels: Labels, confidence: float = 0.95
) -> Calibration:
    """Compare a judge's scores with people's labels; pure.

    Args:
        run_id: whose executions.
        key: the judge.
        scores: its scores by execution.
        labels: people's.
        confidence: of κ's interval, two-sided.

    Raises:
        ScorerError: no label is of an execution that the judge saw.
    """
    from replay.stats import cohen_kappa

    both = [(cell, good) for cell, good in labels.good.items() if cell in scores]
    if not both:
        msg = (
            f"None of the {len(labels.good)} labels is of an execution that {key.scorer} scored in run {run_id}. "
            "Write the sheet of that run with --sheet, and label it."
        )
        raise ScorerError(msg)
    people = ["good" if good else "bad" for _, good in both]
    judged = [_side(scores[cell]) for cell, _ in both]
    kappa = cohen_kappa(people, judged, confidence)
    counts: dict[str, int] = {}
    for pair in zip(people, judged, strict=True):
        counts["/".join(pair)] = counts.get("/".join(pair), 0) + 1
    return Calibration(
        key,
        run_id,
        len(both),
        sum(one == other for one, other in zip(people, judged, strict=True)),
        judged.count(_UNSCORED),
        kappa.estimate,
        kappa.low,
        kappa.high,
        confidence,
        counts,
        labels.digest,
    )


def _side(score: Score) -> str:
    return _UNSCORED if score.value is None else "good" if score.value >= 0.5 else "bad"


@dataclass(frozen=True, slots=True)
class Labels:
    """What people said of executions."""

    good: Mapping[Cell, bool]
    digest: str
    """SHA-256 of the file."""


def read_labels(path: Path | str) -> Labels:
    """Read a CSV or JSONL file with the columns case_id, label and, where they differ, arm and repeat.

    Raises:
        ScorerError: it cannot be read; the message names the line.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"The labels {path} cannot be read: {reason}."
        raise ScorerError(msg) from None
    found: dict[Cell, bool] = {}
    for number, row in _rows(text, str(path)):
        label = str(row.get("label") if row.get("label") is not None else "").strip().lower()
        if not label:
            continue
        if label not in _GOOD | _BAD:
            msg = (
                f"{path}, line {number}: the label {label[:40]!r} is none. "
                "Write 1 or 0, yes or no, pass or fail; nothing for unsure."
            )
            raise ScorerError(msg)
        cell = _cell(row, str(path), number)
        if found.get(cell, label in _GOOD) is not (label in _GOOD):
            msg = f"{path}, line {number}: case {cell[0]} is labelled twice, once good and once bad. Let people agree first."
            raise ScorerError(msg)
        found[cell] = label in _GOOD
    return Labels(found, hashlib.sha256(content).hexdigest())


def sheet(rows: Iterable[tuple[Cell, str, str]]) -> str:
    """Write a CSV for people to label: each execution with its question and answer, and without what the judge said."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("case_id", "arm", "repeat", "label", "customer", "answer"))
    for (case_id, arm, repeat), customer, answer in rows:
        writer.writerow((case_id, arm, repeat, "", *map(_plain, (customer, answer))))
    return out.getvalue()


def payload_of(calibration: Calibration) -> bytes:
    """Make the record of a calibration."""
    content = {**asdict(calibration), "key": calibration.key._asdict(), "counts": dict(calibration.counts)}
    return run_span(CALIBRATION, calibration.run_id, content)


def load_calibrations(store: Store) -> dict[ScorerKey, Calibration]:
    """Give every judge's last calibration."""
    found: dict[ScorerKey, Calibration] = {}
    for span in sorted(own_records(store, CALIBRATION), key=lambda span: span.start_ns):
        try:
            content: Any = dict(span.input)
            key = ScorerKey(**content.pop("key"))
            found[key] = Calibration(key=key, **content)
        except (TypeError, ValueError, KeyError):
            continue
    return found


def _rows(text: str, path: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                msg = f"{path}, line {number}: that is no JSON object."
                raise ScorerError(msg)
            yield number, row
        return
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or ()
    missing = [name for name in ("case_id", "label") if name not in names]
    if missing:
        has = ", ".join(map(repr, names)) or "none"
        msg = f"{path} has no column {missing[0]!r}; it has {has}. `--sheet` writes one to fill in."
        raise ScorerError(msg)
    for row in reader:
        yield reader.line_num, row


def _cell(row: Mapping[str, Any], path: str, number: int) -> Cell:
    case_id, arm, repeat = row.get("case_id"), row.get("arm") or "candidate", row.get("repeat") or 0
    try:
        return str(case_id or "").strip() or _refuse(path, number), str(arm).strip(), int(repeat)
    except ValueError:
        msg = f"{path}, line {number}: the repeat {str(repeat)[:20]!r} is no number."
        raise ScorerError(msg) from None


def _refuse(path: str, number: int) -> str:
    msg = f"{path}, line {number}: there is no case_id."
    raise ScorerError(msg)


def _plain(text: str) -> str:
    """Keep a spreadsheet from taking recorded text for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
