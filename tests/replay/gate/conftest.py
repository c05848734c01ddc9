"""Cases as values, policies as text, verdicts: what the gate's tests are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from replay.gate.check import Check, DiffGroup, Example, Verdict
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import known_metrics
from replay.gate.policy import HARD, Policy, Waiver, read_policy
from replay.running.cases import cases_digest

FIGURES = {"delta": -0.01, "low": -0.02, "high": 0.0, "margin": 0.03}
TODAY = date(2026, 11, 23)
HOSTILE = "\x1b[31m<script>alert(1)</script> `|` ]]> &amp; @team \u202e [x](http://evil.example) \ud800"


@pytest.fixture(scope="session")
def case() -> Callable[..., CaseFacts]:
    """Give a case of given executions: `case(3, baseline=Facts…, candidate=…)`."""

    def make(
        number: int = 0, *, twice: bool = True, conversation: str | None = None, **runs: Facts
    ) -> CaseFacts:
        calm = Facts("baseline", 0, "complete")
        baseline = replace(runs.get("baseline", calm), arm="baseline")
        second = replace(runs.get("baseline_2", baseline), arm="baseline_2")
        candidate = replace(runs.get("candidate", calm), arm="candidate")
        return CaseFacts(
            case_id=f"{number:016x}",
            conversation_id=conversation or f"c{number}",
            turn_index=0,
            span_id=f"{number:016x}",
            same_as=f"input {number}",
            tags={"scene": "even" if number % 2 == 0 else "odd"},
            recorded=Facts("recorded", 0, "complete"),
            runs=(baseline, second, candidate) if twice else (baseline, candidate),
        )

    return make


@pytest.fixture(scope="session")
def policy() -> Callable[..., Policy]:
    """Give a policy of some lines of TOML behind its version and level."""

    def make(lines: str = "", level: int = 3, scorers: tuple[str, ...] = ()) -> Policy:
        text = f"version = 1\nlevel = {level}\nowner = 'Jo'\n{lines}"
        found = read_policy(text, known_metrics(scorers), today=TODAY)
        # Scorers that a level asks for say nothing of made-up cases.
        return found if "hard =" in lines else replace(found, hard=HARD)

    return make


@pytest.fixture(scope="session")
def manifest() -> Callable[..., dict[str, Any]]:
    """Give the manifest of a run of given cases: `manifest(cases, sampling=…)`."""

    def make(cases: Sequence[CaseFacts], **more: Any) -> dict[str, Any]:
        listed = [[case.case_id] for case in cases]
        sides = {
            "baseline": {"path": "shop:v1", "digest": "b"},
            "candidate": {"path": "shop:v2", "digest": "c"},
        }
        return {"run_id": "R", **sides, "cases": listed, "cases_digest": cases_digest(listed), **more}

    return make


@pytest.fixture
def hostile_verdict() -> Verdict:
    """A FAIL in which every text that others wrote is hostile."""
    example = Example("00ff", HOSTILE, HOSTILE)
    waiver = Waiver("adversarial", HOSTILE, HOSTILE, date(2027, 1, 1))
    checks = (
        Check("run.complete", "run", "complete", "PASS", "All 2 cases ran in both arms.", waivable=False),
        Check(
            "hard.new_write", "hard", "new_write", "FAIL", HOSTILE, examples=(example,) * 4, waivable=False
        ),
        Check(
            "hard_bound",
            "hard",
            "bound",
            "INCONCLUSIVE",
            "0 of 2",
            figures={"conversations": 2, "asked": 0.01},
        ),
        Check("primary.outcome", "primary", "outcome", "PASS", "as good", warning=True, figures=FIGURES),
        Check("secondary.latency", "secondary", HOSTILE, "FAIL", HOSTILE, gates=False, warning=True),
        Check(
            "adversarial.llm",
            "governance",
            "attacks",
            "INCONCLUSIVE",
            "none",
            waiver=waiver,
            examples=(example,),
        ),
    )
    return Verdict(
        run_id="20261123-120000-abcdef",
        outcome="FAIL",
        checks=checks,
        level=3,
        level_name="limited self-service",
        policy_digest="ab" * 32,
        policy_path="gate/policy.toml",
        cases_digest="cd" * 32,
        candidate=HOSTILE,
        baseline="shop:v1",
        judged=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
        cases=2,
        conversations=2,
        owner=HOSTILE,
        warnings=(HOSTILE,),
        waivers=(waiver,),
        record="recorded",
        diffs=tuple(
            DiffGroup(f"{HOSTILE} {n}", 1, "blocked", ("new write",), example, HOSTILE) for n in range(14)
        ),
    )
