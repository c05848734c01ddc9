"""A verdict's hard and adversarial findings as SARIF 2.1.0, for code scanning.

The rules:

1. A rule is a check, with an id that never changes; a result is a case (or an attack) that violates it.
2. `partialFingerprints` are made of the rule and of where it was violated (the conversation and turn, or the attack's cell): the
   same finding in the next run is the same finding, whatever the run's id, its counts and its words are.
3. What is confirmed is an error, what is not known a warning. A check without an answer that has no case of its own is a result,
   too, and so is each kind of case beyond those that are shown: a run that could not look is not one that found nothing.
   `executionSuccessful` says so as well.
4. A finding stands in the policy file, since that is the file of the repository that asks for it; the case is named in the text.
5. Recorded text is plain text with its controls made visible; nothing of it is markup.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

import orjson

from auditlog.safe_text import safe_text
from replay.gate.check import Check, Example, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"FAIL": "error", "INCONCLUSIVE": "warning", "PASS": "note"}


def sarif(verdict: Verdict) -> str:
    """Write a verdict as a SARIF log that ends in a newline."""
    checks = [check for check in verdict.checks if _is_security(check)]
    rules = [_rule(check) for check in checks]
    results = [result for index, check in enumerate(checks) for result in _results(verdict, check, index)]
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "auditlog gate",
                        "semanticVersion": _version(),
                        "rules": rules,
                    }
                },
                "automationDetails": {"id": f"auditlog-gate/{verdict.run_id}"},
                "invocations": [
                    {
                        "executionSuccessful": not _unanswered(verdict),
                        "toolExecutionNotifications": [
                            {
                                "level": "error",
                                "message": {"text": _plain(f"{check.title}: {check.sentence}")},
                            }
                            for check in _unanswered(verdict)
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "properties": {
                    "verdict": verdict.outcome,
                    "policyDigest": verdict.policy_digest,
                    "casesDigest": verdict.cases_digest,
                },
                "results": results,
            }
        ],
    }
    return orjson.dumps(log, option=orjson.OPT_INDENT_2).decode() + "\n"


def _is_security(check: Check) -> bool:
    return (check.group == "hard" and check.id != "hard_bound") or check.id.startswith("adversarial.")


def _unanswered(verdict: Verdict) -> list[Check]:
    """Give the checks of what the findings rest on that have no answer: with them, no finding means nothing."""
    return [
        check
        for check in verdict.of("INCONCLUSIVE")
        if check.group == "run" or (_is_security(check) and not check.examples)
    ]


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "name": "".join(part.capitalize() for part in check.id.replace(".", "_").split("_")),
        "shortDescription": {"text": _plain(check.title)},
        "defaultConfiguration": {"level": "error"},
    }


def _results(verdict: Verdict, check: Check, index: int) -> Iterator[dict[str, Any]]:
    if check.outcome == "PASS":
        return
    # A check without a case of its own is found in the policy.
    for example in check.examples or (Example("", verdict.policy_path or "gate.toml", check.sentence),):
        case = f", case {example.case_id}" if example.case_id else ""
        said = f"{example.where}: {example.what} (run {verdict.run_id}{case})."
        said += f" {check.sentence}" if case else ""
        result: dict[str, Any] = {
            "ruleId": check.id,
            "ruleIndex": index,
            "level": _LEVELS[check.outcome],
            "kind": "fail",
            "message": {"text": _plain(said)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(verdict.policy_path)},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": [{"name": _plain(example.where), "kind": "member"}],
                }
            ],
            "partialFingerprints": {"auditlogFinding/v2": _fingerprint(check.id, _place(check, example))},
        }
        if check.waiver is not None:
            why = f"{check.waiver.owner} until {check.waiver.expires}: {check.waiver.reason}"
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": _plain(why)}
            ]
        yield result


def _place(check: Check, example: Example) -> str:
    """Give what a finding is known by: the cell of an attack, which its id is, else the conversation and turn."""
    return (
        (example.case_id if check.id.startswith("adversarial.") else example.where) if example.case_id else ""
    )


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _uri(path: str) -> str:
    """Give a path as a reference: relative as it is, absolute as a `file:` address."""
    place = PurePath(path or "gate.toml")
    said = quote(os.fsencode(place.as_posix()))
    return f"file://{said}" if place.is_absolute() else said


def _plain(text: str) -> str:
    return safe_text(text, newlines=True)


def _version() -> str:
    try:
        return version("auditlog-replay")
    except PackageNotFoundError:
        return "0.0.0"
