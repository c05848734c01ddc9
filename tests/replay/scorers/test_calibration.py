"""How well a judge agrees with people, and what that allows it."""

import csv
import io
import json

import pytest

from auditlog.errors import NotFoundError
from replay.errors import ScorerError
from replay.scorers import Score, scorer
from replay.scorers.calibrating import calibrate_run, calibration_lines, sheet_of
from replay.scorers.judge.calibration import Labels, calibrate, read_labels
from replay.scorers.keeping import load_run_scores
from replay.scorers.model import ScorerKey
from replay.scorers.scoring import score_run

KEY = ScorerKey("judge", "1", "0" * 16)


def counted(both_good, both_bad, people_good, judge_good, unscored=0):
    """Make a calibration of a table of counts."""
    scores, good = {}, {}
    rows = [(True, 1.0)] * both_good + [(False, 0.0)] * both_bad + [(True, 0.0)] * people_good
    rows += [(False, 1.0)] * judge_good + [(True, None)] * unscored
    for number, (person, value) in enumerate(rows):
        cell = (f"case{number}", "candidate", 0)
        good[cell], scores[cell] = person, Score(value)
    return calibrate("run", KEY, scores, Labels(good, "d"))


def test_kappa_of_a_published_table():
    """20, 5, 10 and 15 of 50 give Cohen's κ of 0.4."""
    found = counted(20, 15, 5, 10)
    assert found.kappa == pytest.approx(0.4, abs=1e-9)
    assert (50, 35) == (found.labels, found.agreed)


def test_a_judge_is_secondary_until_enough_people_agree_enough():
    """Too few labels, one label only, and a lower bound below 0.6 each keep it secondary, and say why."""
    assert "100 are needed" in counted(45, 45, 0, 0).why_secondary
    assert "one label only" in counted(120, 0, 0, 0).why_secondary
    assert "lower bound is below 0.6" in counted(60, 40, 12, 12).why_secondary
    assert "" == counted(60, 60, 2, 2).why_secondary


def test_what_the_judge_left_unscored_is_a_disagreement():
    """A judge that says nothing of half of the cases does not agree with people on the rest alone."""
    found = counted(60, 60, 0, 0, unscored=120)
    assert (120, 120) == (found.agreed, found.unscored)
    assert found.why_secondary


def test_labels_are_read_from_csv_and_jsonl(tmp_path):
    """Either format, with or without arm and repeat; what is left empty is unsure and left out."""
    table = tmp_path / "labels.csv"
    table.write_text("case_id,arm,repeat,label,answer\nc1,baseline,1,yes,x\nc2,,,0,\nc3,candidate,0,,\n")
    expected = {("c1", "baseline", 1): True, ("c2", "candidate", 0): False}
    assert expected == dict(read_labels(table).good)
    lines = tmp_path / "labels.jsonl"
    lines.write_text(
        json.dumps({"case_id": "c1", "arm": "baseline", "repeat": 1, "label": 1})
        + "\n\n"
        + json.dumps({"case_id": "c2", "label": False})
        + "\n"
    )
    assert expected == dict(read_labels(lines).good)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\nc1,1\n", "no column 'case_id'"),
        ("case_id,label\nc1,maybe\n", "line 2: the label 'maybe' is none"),
        ("case_id,label\n,1\n", "line 2: there is no case_id"),
        ("case_id,label,repeat\nc1,1,x\n", "the repeat 'x' is no number"),
        ("case_id,label\nc1,1\nc1,0\n", "line 3: case c1 is labelled twice"),
        ('{"case_id": "c1", "label": 1}\n[]\n', "line 2: that is no JSON object"),
        ("", "no column 'case_id'"),
    ],
)
def test_labels_that_cannot_be_read_name_the_line(tmp_path, text, said):
    """A file that is wrong says where, and what to write."""
    path = tmp_path / "labels"
    path.write_text(text)
    with pytest.raises(ScorerError, match=said):
        read_labels(path)
    with pytest.raises(ScorerError, match="cannot be read"):
        read_labels(tmp_path / "nothing")


def test_a_calibrated_judge_is_what_was_asked_for(run_store, tmp_path, monkeypatch):
    """From the sheet to the level: people fill it in, κ is kept, and a judge that agrees keeps its level."""
    from replay.scorers.judge import calibration

    @scorer(name="kind", level="primary", judges=True)
    def kind(subject):
        return subject.run.user_text.startswith("refund")

    report = score_run(run_store, "last", [kind], isolated=False)
    key = report.scorers[0].info.key
    assert "secondary" == load_run_scores(run_store, report.run_id).scorers[key].level
    written, rows = sheet_of(run_store, "last", "kind", 100)
    assert 18 == rows
    table = list(csv.DictReader(io.StringIO(written)))
    assert ["case_id", "arm", "repeat", "label", "customer", "answer"] == list(table[0])
    for row in table:
        row["label"] = "yes" if row["customer"].startswith("refund") else "no"
    out = io.StringIO()
    filled = csv.DictWriter(out, table[0])
    filled.writeheader()
    filled.writerows(table)
    path = tmp_path / "labels.csv"
    path.write_text(out.getvalue())
    found = calibrate_run(run_store, "last", "kind", str(path))
    assert (18, 18, 1.0) == (found.labels, found.agreed, found.kappa)
    assert "secondary" == load_run_scores(run_store, report.run_id).scorers[key].level
    assert "100 are needed" in "\n".join(calibration_lines(found, as_json=False))
    monkeypatch.setattr(calibration, "FEWEST_LABELS", 10)
    monkeypatch.setattr(calibration, "LEAST_KAPPA", found.low)
    info = load_run_scores(run_store, report.run_id).scorers[key]
    assert ("primary", "") == (info.level, info.note)
    assert found.key.scorer == json.loads("\n".join(calibration_lines(found, as_json=True)))["key"]["scorer"]


def test_labels_of_something_else_are_refused(run_store, tmp_path):
    """A judge that did not score the run, and labels of other cases, are told apart."""
    path = tmp_path / "labels.csv"
    path.write_text("case_id,label\nnope,1\n")
    with pytest.raises(NotFoundError, match="no scores of 'judge'"):
        calibrate_run(run_store, "last", "judge", str(path))
    score_run(run_store, "last", ["completed"], workers=1)
    with pytest.raises(ScorerError, match="None of the 1 labels"):
        calibrate_run(run_store, "last", "completed", str(path))


def test_a_sheet_is_safe_to_open(run_store):
    """What a customer wrote is no formula in a spreadsheet, and the judge's verdict is not on the sheet."""
    from replay.scorers.judge.calibration import sheet

    written = sheet([(("c", "candidate", 0), "=HYPERLINK(1)", "@x")])
    assert ["'=HYPERLINK(1)", "'@x"] == next(iter(list(csv.reader(io.StringIO(written)))[1:]))[4:]
