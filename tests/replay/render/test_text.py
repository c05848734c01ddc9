"""A report for a terminal."""

from dataclasses import replace

import pytest

from auditlog.safe_text import cell_width
from replay.render.text import case_text, text


def test_the_summary_says_how_many_differ_of_how_many(mixed):
    """Unstable and incomparable cases are counted beside the differing ones, and noise with its sample."""
    lines = text(mixed).splitlines()
    assert "4 of 8 cases behave differently, 1 unstable, 1 not comparable" in lines
    assert "Noise: the baseline, run again, differs from itself in 1 of 3 sampled cases" in lines[6]


def test_noise_stands_beside_the_candidate(mixed):
    """Each class has both counts, each over its own number of cases."""
    lines = text(mixed).splitlines()
    assert "class               candidate      baseline again" in lines
    assert "arguments           2  25.0 %           1  33.3 %" in lines


def test_cases_with_the_same_first_divergence_are_one_group(mixed):
    """The two changed refunds stand together; among equally bad groups the larger is first."""
    written = text(mixed)
    assert "1. arguments refund /amount · 2 cases\n" in written
    assert "2. blocked refund · 1 case\n" in written
    assert "~ refund /amount 40 → 400 ◄ first divergence\n" in written
    assert "! changed money: refund /amount 40 → 400\n" in written


def test_a_group_shows_a_few_of_its_cases(mixed):
    """What is left out is said."""
    assert "… and 1 case more\n" in text(mixed, per_group=1)
    assert "more\n" not in text(mixed, everything=True)


def test_what_follows_the_first_divergence_folds_and_still_names_calls(make):
    """A call that vanished behind the first divergence is named in the fold."""
    before = make.turn(("a", {}), ("b", {}), ("gone", {}))
    after = make.turn(("a", {}), ("new", {}), ("c", {}))
    case = make.case(1, before, after)
    assert "in consequence: +c, -b, -gone" in text(make.report(case))
    assert "in consequence" not in case_text(case)
    assert "- gone" in case_text(case)


def test_the_words_that_differ_are_shown(make):
    """A cosmetic case in full shows both wordings."""
    case = make.case(1, make.turn(answer="It has shipped. Bye."), make.turn(answer="It was shipped. Bye."))
    assert "       - has\n       + was\n" in case_text(case)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("which", ["mixed", "hostile"])
def test_no_line_is_wider_than_the_terminal(request, which, width):
    """Sixty columns work, and so do forty."""
    report = request.getfixturevalue(which)
    for line in text(report, width=width, everything=True).splitlines():
        assert cell_width(line) <= width


@pytest.mark.parametrize("everything", [False, True])
def test_nothing_recorded_acts_on_the_terminal(hostile, everything):
    """Without colour there is no character but printable ones and line breaks."""
    written = text(hostile, everything=everything)
    assert all(line.isprintable() for line in written.split("\n"))
    assert "<ESC>" in written


def test_colour_is_ours_alone(hostile):
    """With colour the only escape sequences are the renderer's own, and taking them out gives the plain text."""
    painted = text(hostile, colour=True)
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m"):
        painted = painted.replace(sequence, "")
    assert "\x1b" not in painted
    assert painted == text(hostile)


def test_an_empty_report_is_written(make):
    """No case at all is said, and nothing is divided by it."""
    assert "0 of 0 cases behave differently" in text(make.report())


def test_cases_that_were_not_run_are_counted(make):
    """The denominator is the run's, not what happens to be there."""
    report = make.report(make.case(1, make.turn(), make.turn()), total=5)
    assert "0 of 5 cases behave differently, 4 not run" in text(report)


def test_no_case_of_a_group_makes_a_list_of_the_groups(mixed):
    """A summary names the groups, one a line, and how many cases each has."""
    lines = text(mixed, per_group=0).splitlines()
    assert lines[-3:] == [
        "1. arguments refund /amount · 2 cases",
        "2. blocked refund · 1 case",
        "3. errored · 1 case",
    ]
    assert not any("more" in line for line in lines)


def test_a_part_of_a_report_counts_its_own_cases(mixed):
    """Narrowed to one case, the others are not said to be missing."""
    assert "1 of 1 case behaves differently\n" in text(replace(mixed, cases=mixed.cases[3:4]))


@pytest.mark.parametrize(
    ("kind", "line"), [("replay", "where     agent:bot"), ("compare", "paired by agent:bot")]
)
def test_what_chose_the_cases_is_named_for_what_it_is(make, kind, line):
    """A replay has a filter; a comparison has what pairs its conversations."""
    assert line in text(make.report(kind=kind)).splitlines()
