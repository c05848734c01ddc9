"""Replay recorded turns against another version of an agent, without touching the world, and compare.

Every name here is imported when it is first used, so that `import replay` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.results.comparisons import save_comparison
    from replay.results.loading import load_report, load_runs
    from replay.results.report import CaseResult, Report, RunSummary
    from replay.running.planning import plan
    from replay.running.resuming import resume
    from replay.running.run_plan import RunPlan
    from replay.running.runner import run

__all__ = [
    "CaseResult",
    "Report",
    "RunPlan",
    "RunSummary",
    "load_report",
    "load_runs",
    "plan",
    "resume",
    "run",
    "save_comparison",
]

_HOME = {
    "CaseResult": "results.report",
    "Report": "results.report",
    "RunPlan": "running.run_plan",
    "RunSummary": "results.report",
    "load_report": "results.loading",
    "load_runs": "results.loading",
    "plan": "running.planning",
    "resume": "running.resuming",
    "run": "running.runner",
    "save_comparison": "results.comparisons",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'replay' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"replay.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
