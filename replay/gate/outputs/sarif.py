"""A verdict's hard and adversarial findings as SARIF 2.1.0, for code scanning.

The rules:

1. A rule is a check, with an id that never changes; a result is a case (or an attack) that violates it.
2. `partialFingerprints` are made of the rule, the conversation, the turn and what was violated: the same finding in the next run
   is the same finding, whatever the run's id is.
3. What is confirmed is an error, what is not known a warning. A gate without findings is a run without results, not no file.
4. A finding stands in the policy file, since that is the file of the repository that asks for it; the case is named in the text.
5. Recorded text is plain text with its controls made visible; nothing of it is markup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

import orjson

from auditlog.safe_text import safe_text
from replay.gate.check import Check, Verdict

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
    for example in check.examples:
        said = f"{example.where}: {example.what} (run {verdict.run_id}, case {example.case_id}). {check.sentence}"
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
            "partialFingerprints": {
                "auditlogFinding/v1": _fingerprint(check.id, example.where, example.what)
            },
        }
        if check.waiver is not None:
            why = f"{check.waiver.owner} until {check.waiver.expires}: {check.waiver.reason}"
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": _plain(why)}
            ]
        yield result


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _uri(path: str) -> str:
    return quote(PurePath(path or "gate.toml").as_posix().lstrip("/"))


def _plain(text: str) -> str:
    return safe_text(text, newlines=True)


def _version() -> str:
    try:
        return version("auditlog-replay")
    except PackageNotFoundError:
        return "0.0.0"
