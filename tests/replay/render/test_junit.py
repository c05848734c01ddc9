"""A report as JUnit XML."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from replay.render.junit import junit


def outcomes(report):
    """Give what each test case says, in order."""
    return [case[0].tag if len(case) else "passed" for case in ET.fromstring(junit(report)).iter("testcase")]


def test_every_case_is_a_test_case(mixed):
    """Differing cases fail, broken and incomparable ones are errors, unstable ones are skipped, the others pass."""
    assert outcomes(mixed) == [
        "passed",
        "passed",
        "failure",
        "failure",
        "failure",
        "skipped",
        "error",
        "error",
    ]


def test_the_totals_are_those_of_the_cases(mixed):
    """Both the root and the suite count what is in them."""
    root = ET.fromstring(junit(mixed))
    for element in (root, root[0]):
        counts = [element.get(name) for name in ("tests", "failures", "errors", "skipped")]
        assert counts == ["8", "3", "2", "1"]


@pytest.mark.parametrize("status", ["errored", "invalid"])
def test_a_case_that_left_the_sandbox_is_an_error(make, status):
    """Whatever its steps look like."""
    assert outcomes(make.report(make.case(1, make.turn(), make.turn(), status))) == ["error"]


def test_a_case_that_fails_as_its_baseline_did_passes(make):
    """Both raise the same after the same calls: nothing behaves differently, and a pipeline stays green."""
    failing = make.turn(answer="boom", failed=True)
    report = make.report(replace(make.case(1, failing, failing), status="errored"))
    assert outcomes(report) == ["passed"]


def test_a_finding_alone_is_a_failure(make):
    """Other words with an invented date fail."""
    report = make.report(make.case(1, make.turn(answer="Soon."), make.turn(answer="On 14 March.")))
    assert outcomes(report) == ["failure"]


def test_hostile_text_leaves_the_xml_well_formed(hostile):
    """Control characters, lone surrogates and markup parse, and are visible."""
    root = ET.fromstring(junit(hostile))
    assert [len(case) for case in root.iter("testcase")] == [1, 1]
    assert "<ESC>[31mred<BEL>" in root.find(".//failure").text
    assert "<script>" in root.find(".//failure").text
    junit(hostile).encode()


def test_cases_that_were_not_run_are_one_error(make):
    """An interrupted run is not green."""
    report = make.report(make.case(1, make.turn(), make.turn()), total=3)
    assert outcomes(report) == ["passed", "error"]
    assert ET.fromstring(junit(report)).find(".//error").get("message") == "2 of 3 cases were not run"


def test_an_empty_report_is_a_document(make):
    """No case is an empty suite."""
    assert outcomes(make.report()) == []
