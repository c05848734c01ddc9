"""A verdict, written: whatever was recorded, each format stays what it is."""

from __future__ import annotations

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from replay.gate.check import Check, DiffGroup, Example
from replay.gate.cli import FORMATS, rendered
from replay.gate.outputs.markdown import MARK, markdown
from replay.gate.outputs.terminal import headline, text

SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {"type": "object", "required": ["id"]},
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "kind": {
                                    "enum": [
                                        "notApplicable",
                                        "pass",
                                        "fail",
                                        "review",
                                        "open",
                                        "informational",
                                    ]
                                },
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "locations": {"type": "array", "items": {"type": "object"}},
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "suppressions": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "properties": {"kind": {"enum": ["inSource", "external"]}},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What SARIF 2.1.0 asks of the parts that the gate writes."""


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_recorded_acts(hostile_verdict, form):
    """No format lets an escape sequence, a bidi override or a lone surrogate through."""
    written = rendered(hostile_verdict, form)
    written.encode()

    assert written.endswith("\n")
    assert [] == [sign for sign in ("\x1b", "\ud800") if sign in written]
    if form != "json":
        assert "\u202e" not in written


def test_terminal_says_the_verdict_first(hostile_verdict):
    """The first line is the verdict, what failed comes first in its group, and lines keep to the width."""
    lines = text(hostile_verdict, width=60, colour=False).splitlines()

    assert "FAIL  1 check failed, 1 check without an answer, 1 waived" == lines[0]
    assert [] == [line for line in lines if len(line) > 60 and "more" not in line and "<" not in line]
    assert "\x1b[" not in "\n".join(lines)
    assert "\x1b[" in text(hostile_verdict, width=60, colour=True)


def test_junit_has_a_case_a_check(hostile_verdict):
    """FAIL is a failure, INCONCLUSIVE an error, what was waived is skipped, and what informs passes."""
    suite = ET.fromstring(rendered(hostile_verdict, "junit")).find("testsuite")
    found = {case.get("name"): [child.tag for child in case] for case in suite}

    assert {
        "verdict": ["failure"],
        "run.complete": ["system-out"],
        "hard.new_write": ["failure"],
        "hard_bound": ["error"],
        "primary.outcome": ["system-out"],
        "secondary.latency": ["system-out"],
        "adversarial.llm": ["skipped"],
    } == found
    assert ("7", "2", "1", "1") == tuple(
        suite.get(name) for name in ("tests", "failures", "errors", "skipped")
    )


def test_junit_of_a_pass_is_green(hostile_verdict):
    """A pass has no failure and no error."""
    passed = replace(hostile_verdict, outcome="PASS", checks=hostile_verdict.checks[:1])
    suite = ET.fromstring(rendered(passed, "junit"))

    assert ("2", "0", "0") == tuple(suite.get(name) for name in ("tests", "failures", "errors"))


def test_sarif_is_sarif(hostile_verdict):
    """The log has what SARIF 2.1.0 asks for, and only hard and adversarial findings."""
    jsonschema = pytest.importorskip("jsonschema")
    log = json.loads(rendered(hostile_verdict, "sarif"))
    jsonschema.Draft202012Validator(SARIF).validate(log)
    [run] = log["runs"]

    assert ["hard.new_write", "adversarial.llm"] == [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {"hard.new_write": "error", "adversarial.llm": "warning"} == {
        r["ruleId"]: r["level"] for r in run["results"]
    }
    assert [0, 0, 0, 0, 1] == [result["ruleIndex"] for result in run["results"]]
    assert "accepted" == run["results"][-1]["suppressions"][0]["status"]


def test_sarif_fingerprints_are_stable(hostile_verdict):
    """The same finding in another run is the same finding, and another is another."""

    def prints(verdict):
        [run] = json.loads(rendered(verdict, "sarif"))["runs"]
        return [result["partialFingerprints"] for result in run["results"]]

    other = replace(hostile_verdict, run_id="20270101-000000-000000", policy_digest="ee" * 32)
    assert prints(hostile_verdict) == prints(other)
    assert prints(hostile_verdict)[0] != prints(hostile_verdict)[-1]


def test_sarif_knows_a_finding_again_whatever_it_counts_and_says(hostile_verdict):
    """Another count of attacks, and other words of the same case, are the same finding; another cell is another."""

    def prints(check):
        [run] = json.loads(rendered(replace(hostile_verdict, checks=(check,)), "sarif"))["runs"]
        return [result["partialFingerprints"] for result in run["results"]]

    def attack(cell, what):
        return Check(
            "adversarial.llm", "governance", "", "FAIL", "", examples=(Example(cell, "LLM01 by user", what),)
        )

    assert prints(attack("LLM01/user/en", "3 of 12")) == prints(attack("LLM01/user/en", "9 of 30"))
    assert prints(attack("LLM01/user/en", "3 of 12")) != prints(attack("LLM01/user/de", "3 of 12"))


def test_sarif_says_what_could_not_be_looked_at(hostile_verdict):
    """A run whose sandbox broke, or in which nothing was attacked, is not one that found nothing."""
    untried = Check("adversarial.llm", "governance", "attacks", "INCONCLUSIVE", "nothing was tried")
    broken = Check("run.sandbox", "run", "sandbox tight", "INCONCLUSIVE", "something left it")
    [run] = json.loads(rendered(replace(hostile_verdict, checks=(untried, broken)), "sarif"))["runs"]
    [clean] = json.loads(rendered(replace(hostile_verdict, checks=()), "sarif"))["runs"]

    assert ["adversarial.llm"] == [result["ruleId"] for result in run["results"]]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert 2 == len(run["invocations"][0]["toolExecutionNotifications"])
    assert clean["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize(
    ("path", "expected"),
    [("gate/a b.toml", "gate/a%20b.toml"), ("/srv/gate.toml", "file:///srv/gate.toml"), ("g\udcff.toml", "g%FF.toml")],
)  # fmt: skip
def test_sarif_writes_any_path(hostile_verdict, path, expected):
    """An absolute path stays one, and a name that is no UTF-8 is written as its bytes."""
    [run] = json.loads(rendered(replace(hostile_verdict, policy_path=path), "sarif"))["runs"]

    assert expected == run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_what_was_waived_does_not_hold(hostile_verdict):
    """The headline counts what was shown, and apart from it what somebody answers for."""
    run_check, waived = hostile_verdict.checks[0], hostile_verdict.checks[-1]

    assert "1 checks hold, 1 waived" == headline(replace(hostile_verdict, checks=(run_check, waived)))
    assert "all 1 checks hold" == headline(replace(hostile_verdict, checks=(run_check,)))


def test_a_comment_says_no_recorded_word(hostile_verdict):
    """What is posted to a pull request names cases, and not what was said in them."""
    said = Example("00ff", "c1 turn 1", "promises 500 € to Ann")
    check = Check("hard.x", "hard", "x", "FAIL", "Violated.", examples=(said,))
    group = DiffGroup("answer", 3, "changed", ("new promise",), said, "says 500 €")
    written = markdown(replace(hostile_verdict, checks=(check,), diffs=(group,)))

    assert "c1 turn 1" in written
    assert "new promise" in written
    assert "500" not in written


def test_sarif_without_findings_is_a_run(hostile_verdict):
    """A gate without findings is a run without results."""
    [run] = json.loads(rendered(replace(hostile_verdict, checks=()), "sarif"))["runs"]

    assert [] == run["results"]


def test_markdown_is_one_sticky_comment(hostile_verdict):
    """It begins with its mark, then the verdict; at most ten differences; nothing recorded leaves its code span."""
    written = markdown(hostile_verdict)
    lines = written.splitlines()

    assert (MARK, "## ❌ FAIL: 1 check failed, 1 check without an answer, 1 waived") == tuple(lines[:2])
    assert 10 == written.count("<br>")
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", written)
    assert [] == [sign for sign in ("<script", "@team", "](http", "&amp;") if sign in outside]
    assert len(written) < 65_536


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.said = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.said += data


def test_html_needs_nothing_else(hostile_verdict):
    """One page: a policy that forbids everything, no script, no link, no address, and its plots inside."""
    written = rendered(hostile_verdict, "html")
    page = _Page()
    page.feed(written)

    assert set() == {"script", "link", "img", "iframe", "object", "base", "form", "a"} & set(page.tags)
    assert 2 == page.tags.count("svg")
    assert "default-src 'none'" in dict(page.attributes)["content"] or "default-src 'none'" in written
    assert [] == [
        value
        for name, value in page.attributes
        if name.startswith("on") or name in ("src", "href", "xlink:href")
    ]
    assert ["http://www.w3.org/2000/svg"] * 2 == [v for n, v in page.attributes if v and v.startswith("http")]
    assert "<script>alert(1)</script>" in page.said


def test_every_output_calls_it_evidence(hostile_verdict):
    """What a person reads says that it is evidence, and nothing says that anything is compliant."""
    for form in ("text", "md", "html"):
        assert "vidence for a decision" in " ".join(rendered(hostile_verdict, form).split())
    assert [] == [form for form in FORMATS if "complian" in rendered(hostile_verdict, form).lower()]
