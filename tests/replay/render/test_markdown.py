"""A report as one Markdown comment."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.render.markdown import code, markdown


def test_the_summary_comes_first_and_gives_no_verdict(mixed):
    """A headline, the run, the noise, the classes."""
    lines = markdown(mixed).splitlines()
    assert lines[0] == "### 4 of 8 cases behave differently, 1 unstable, 1 not comparable"
    assert "| arguments | 2 | 25.0 % | 1 | 33.3 % |" in lines
    assert not any(word in markdown(mixed) for word in ("PASS", "FAIL", "INCONCLUSIVE"))


def test_at_most_ten_cases_are_shown_worst_first(make):
    """Thirty cases of three groups: ten are shown, of every group."""
    cases = [
        make.case(n, make.turn(("pay", {"amount": n})), make.turn(("pay", {"amount": n + 1})))
        for n in range(20)
    ]
    cases += [
        make.case(20 + n, make.turn(), make.turn(("note", {"n": n}, "blocked"), answer=""), "blocked")
        for n in range(5)
    ]
    cases += [
        make.case(30 + n, make.turn(("a", {}), ("b", {})), make.turn(("b", {}), ("a", {}))) for n in range(5)
    ]
    written = markdown(make.report(*cases))
    shown = [line for line in written.splitlines() if line.startswith("- **")]
    assert len(shown) == 10
    assert "#### The worst 10 cases of 30" in written
    assert {"blocked", "arguments", "reordered"} == {re.match(r"- \*\*(\w+)", line)[1] for line in shown}


def test_recorded_text_stands_in_code_spans_only(hostile):
    """Taking the code spans out leaves none of the hostile text."""
    left = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown(hostile))
    for bad in ("script", "evil", "@everyone", "[31m", "`", "\x1b"):
        assert bad not in left
    assert all(line.isprintable() for line in markdown(hostile).split("\n"))


@given(st.text(max_size=50))
def test_no_text_leaves_its_code_span(recorded):
    """The fence is longer than any run of backticks inside, and the span is one line."""
    span = code(recorded)
    fence = re.match(r"`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert fence not in re.findall(r"`+", inside)
    assert "\n" not in span
    assert not inside.startswith("`")
    assert not inside.endswith("`")


@pytest.mark.parametrize("number", [0, 1])
def test_small_reports_are_written(make, number):
    """No case, or one that is the same, is a summary alone."""
    report = make.report(*[make.case(n, make.turn(), make.turn()) for n in range(number)])
    assert markdown(report).startswith(f"### 0 of {number} case")
    assert "####" not in markdown(report)
