"""A verdict as JUnit XML: a test case a check, so that a CI system lists what was looked at.

The rules:

1. FAIL is a failure; INCONCLUSIVE is an error, since it says nothing good of the candidate; what only warns passes, with its
   sentence in `system-out`; what was waived is skipped, with who signed.
2. The XML is well-formed whatever was recorded: `safe_text`, then escaped.
3. The verdict is a test case of its own, the first, so that a run without a single check does not look green.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from auditlog.safe_text import safe_text
from replay.gate.check import GROUPS, SHOWN_EXAMPLES, Check, Verdict
from replay.gate.outputs.terminal import headline


def junit(verdict: Verdict) -> str:
    """Write a verdict as a JUnit XML document that ends in a newline."""
    checks = verdict.checks
    failures = sum(1 for check in checks if _kind(check) == "failure") + (verdict.outcome == "FAIL")
    errors = sum(1 for check in checks if _kind(check) == "error") + (verdict.outcome == "INCONCLUSIVE")
    skipped = sum(1 for check in checks if _kind(check) == "skipped")
    totals = (
        f'tests="{len(checks) + 1}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="0.000"'
    )
    suite = _attribute(f"gate {verdict.run_id}")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="auditlog gate" {totals}>',
        f'  <testsuite name={suite} {totals} timestamp="{verdict.judged:%Y-%m-%dT%H:%M:%S}">',
        *_whole(verdict),
        *(line for check in checks for line in _case(check)),
        "  </testsuite>",
        "</testsuites>",
        "",
    ]
    return "\n".join(lines)


def _whole(verdict: Verdict) -> Iterator[str]:
    head = '    <testcase classname="gate" name="verdict" time="0.000"'
    if verdict.outcome == "PASS":
        yield head + "/>"
        return
    tag = "failure" if verdict.outcome == "FAIL" else "error"
    yield head + ">"
    yield f"      <{tag} type={_attribute(verdict.outcome)} message={_attribute(headline(verdict))}/>"
    yield "    </testcase>"


def _case(check: Check) -> Iterator[str]:
    head = f'    <testcase classname={_attribute(f"gate.{check.group}")} name={_attribute(check.id)} time="0.000"'
    kind = _kind(check)
    if kind is None:
        yield head + ">"
        yield f"      <system-out>{_body(check)}</system-out>"
    elif kind == "skipped":
        assert check.waiver is not None
        said = f"waived by {check.waiver.owner} until {check.waiver.expires}: {check.waiver.reason}. {check.sentence}"
        yield head + ">"
        yield f"      <skipped message={_attribute(said)}/>"
    else:
        yield head + ">"
        yield f"      <{kind} type={_attribute(check.outcome)} message={_attribute(check.sentence)}>{_body(check)}</{kind}>"
    yield "    </testcase>"


def _kind(check: Check) -> str | None:
    if check.waiver is not None:
        return "skipped"
    if not check.gates:
        return None
    return {"FAIL": "failure", "INCONCLUSIVE": "error", "PASS": None}[check.outcome]


def _body(check: Check) -> str:
    lines = [f"{GROUPS[check.group]}: {check.title}", check.sentence]
    lines += [
        f"- {example.case_id} {example.where}: {example.what}" for example in check.examples[:SHOWN_EXAMPLES]
    ]
    return escape(safe_text("\n".join(lines), newlines=True))


def _attribute(text: str) -> str:
    return quoteattr(safe_text(text, width=1_000))
