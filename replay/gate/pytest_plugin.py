"""A pytest plug-in: a test item for each check of the gate.

    pytest -p replay.gate.pytest_plugin --auditlog-run RUN --auditlog-policy gate.toml

The rules:

1. Without `--auditlog-run` it does nothing, and imports nothing of ours.
2. A check that failed, or has no answer, fails with its sentence; what was waived is skipped; what informs passes.
3. It judges what is there: nothing is run again, and nothing is recorded.
4. It is named with `-p`, and is no entry point: pytest would load it for everybody who has this project installed, and rewrite
   every assertion of `replay` as the package is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from replay.gate.check import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("auditlog", "the release gate of auditlog-replay")
    group.addoption("--auditlog-run", metavar="RUN", help="Judge this replay run: an id, or `last`.")
    group.addoption("--auditlog-policy", metavar="FILE", help="The gate's policy.")
    group.addoption(
        "--auditlog-store", metavar="DIR", help="The store; $AUDITLOG_STORE or ./audit by default."
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Put the checks behind the tests."""
    run_id = config.getoption("--auditlog-run")
    if run_id is None:
        return
    policy = config.getoption("--auditlog-policy")
    if policy is None:
        raise pytest.UsageError(
            "--auditlog-run asks for --auditlog-policy FILE. `auditlog gate --init` writes one."
        )
    gate = Gate.from_parent(session, name=f"gate {run_id}", nodeid="gate", path=Path(policy))
    items += gate.collect()


class Gate(pytest.Collector):
    """One run, judged by one policy."""

    def collect(self) -> Iterator[pytest.Item]:
        """Judge the run, and give an item for each check."""
        from auditlog.cli.options import DEFAULT_STORE
        from auditlog.errors import AuditlogError
        from auditlog.store import Store
        from replay.gate.cli import read_policy_file
        from replay.gate.judge import judge
        from replay.stats import StatisticsMissingError

        options = self.config
        store = options.getoption("--auditlog-store") or _environment() or DEFAULT_STORE
        try:
            policy = read_policy_file(options.getoption("--auditlog-policy"))
            with Store.open(store) as opened:
                verdict = judge(opened, options.getoption("--auditlog-run"), policy, runs=False).verdict
        except (AuditlogError, StatisticsMissingError) as error:
            raise pytest.UsageError(str(error)) from None
        return iter([CheckItem.from_parent(self, name=check.id, check=check) for check in verdict.checks])


class CheckItem(pytest.Item):
    """One check."""

    def __init__(self, *, check: Check, **named: Any) -> None:
        super().__init__(**named)
        self.check = check

    def runtest(self) -> None:
        """Pass, fail or skip as the check does."""
        waiver = self.check.waiver
        if waiver is not None:
            pytest.skip(f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}")
        if self.check.gates and self.check.outcome != "PASS":
            raise GateFailure(self.check)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say the check's sentence instead of a traceback."""
        if not isinstance(excinfo.value, GateFailure):
            return super().repr_failure(excinfo, style)
        from auditlog.safe_text import safe_text
        from replay.gate.check import SHOWN_EXAMPLES

        check = excinfo.value.check
        lines = [f"{check.outcome}: {check.sentence}"]
        lines += [f"- {example.where}: {example.what}" for example in check.examples[:SHOWN_EXAMPLES]]
        return safe_text("\n".join(lines), newlines=True)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Give what the report calls it."""
        return self.path, None, f"gate: {self.name}"


class GateFailure(Exception):  # noqa: N818 - a check that failed is no error
    """A check that did not pass."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.sentence)
        self.check = check


def _environment() -> str | None:
    import os

    return os.environ.get("AUDITLOG_STORE")
