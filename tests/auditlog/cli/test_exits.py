"""Tests for commands with exit codes of their own."""

from __future__ import annotations

import click
import pytest

from auditlog.cli.exits import Exit, GateCommand, GateExit, OwnCodes, Verdict
from auditlog.cli.main import LazyGroup
from auditlog.errors import AuditlogError


class _MissingError(ImportError):
    extra = "gate"


def _ended(error: BaseException, of: type[click.Command] = GateCommand, *arguments: str) -> int:
    def body() -> None:
        raise error

    class Group(LazyGroup):
        def resolve_command(
            self, ctx: click.Context, args: list[str]
        ) -> tuple[str, click.Command, list[str]]:
            return "judge", of("judge", callback=body), args[1:]

    with pytest.raises(SystemExit) as ended:
        Group("auditlog").main(["judge", *arguments])
    return int(str(ended.value.code))


@pytest.mark.parametrize(
    "error", [AuditlogError("no store"), FileNotFoundError(2, "no such file"), _MissingError("pip install x")]
)
def test_a_command_with_codes_of_its_own_ends_with_no_answer_where_it_has_none(error, capsys):
    """An error is no verdict, and says its sentence."""
    assert GateExit.NO_VERDICT == _ended(error)
    assert capsys.readouterr().err.startswith("error: ")


def test_a_typing_mistake_is_no_verdict(capsys):
    """A wrong option ends with the code for no answer."""
    assert GateExit.NO_VERDICT == _ended(AuditlogError(""), GateCommand, "--polcy")
    assert "--help` says what it takes" in capsys.readouterr().err


def test_a_code_of_an_answer_a_reader_that_stops_and_a_mistake_of_ours_stay_what_they_are():
    """Only what is no answer takes the code for none."""
    assert GateExit.FAIL == _ended(click.exceptions.Exit(GateExit.FAIL))
    assert Exit.PIPE == _ended(BrokenPipeError())
    assert Exit.BUG == _ended(ImportError("no module named x"))
    assert Exit.BUG == _ended(ZeroDivisionError())


def test_a_plain_command_keeps_the_common_codes():
    """The codes are the command's own, and nobody else's."""
    assert Exit.ERROR == _ended(AuditlogError("no"), click.Command)
    assert Exit.ERROR == _ended(_MissingError("pip install x"), click.Command)


def test_every_set_of_codes_has_one_for_no_answer_that_is_no_answer():
    """`verify` and the gate never end with the code of an outcome where there is none."""

    class Checks(OwnCodes):
        no_answer = Verdict.NO_ANSWER

    assert Verdict.NO_ANSWER == _ended(AuditlogError("no store"), Checks)
    assert [0, 1, 2, 3] == list(GateExit)
