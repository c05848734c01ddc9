"""Recorded values and errors, handed out again."""

from __future__ import annotations

import copy
import json

import pytest

from auditlog.encoding.error_facts import error_facts
from auditlog.values import Fault
from replay.errors import ReplayedError
from replay.matching.revive import error_of, value_of


class OrderNotFoundError(Exception):
    """An error of the program, whose constructor must not run."""

    def __init__(self, order_id):
        """Say so, loudly."""
        msg = "the constructor ran"
        raise AssertionError(msg)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("x"),
        KeyError(),
        OSError(2, "No such file"),
        TimeoutError("late"),
        LookupError("é"),
    ],
    ids=repr,
)
def test_a_builtin_error_comes_back_as_itself(error):
    """A built-in error has its type and its text again, and is recorded again as it was."""
    facts = error_facts(error, stack=False)
    revived = error_of(Fault(facts.type, facts.message))
    assert isinstance(revived, type(error))
    assert facts[:2] == error_facts(revived, stack=False)[:2]


def test_an_error_of_a_loaded_module_comes_back_without_its_constructor():
    """The program's own error type is used when it is there, and none of its code runs."""
    name = f"{OrderNotFoundError.__module__}.OrderNotFoundError"
    revived = error_of(Fault(name, "no order A1"))
    assert isinstance(revived, OrderNotFoundError)
    assert str(revived) == "no order A1"


@pytest.mark.parametrize(
    "name",
    [
        "SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "int", "exec", "print", "__import__",
        "no.such.module.Error", "os.system", "os.path", "UnicodeDecodeError", "", ".", "..", "a..b", "os.",
        "subprocess.Popen", "builtins.SystemExit",
    ],
)  # fmt: skip
def test_whatever_else_a_recording_names_stays_a_name(name):
    """A type that is no error, ends programs, needs more than a text or is not loaded is named and not made."""
    revived = error_of(Fault(name, "text"))
    assert isinstance(revived, ReplayedError)
    assert (revived.type_name, str(revived)) == (name, "text")


def test_a_name_never_imports_a_module():
    """A recorded type's module is not imported for its sake."""
    import sys

    assert "wave" not in sys.modules
    error_of(Fault("wave.Error", "text"))
    assert "wave" not in sys.modules


def test_a_plain_value_is_a_copy_each_time():
    """What one call does to its answer does not reach the next."""
    recorded = {"items": [1]}
    value_of(recorded, was_object=False)["items"].append(2)
    assert recorded == {"items": [1]}


def test_an_object_answers_as_item_and_as_attribute():
    """A client's answer is used as the client's object would be, as far down as it goes."""
    answer = value_of({"choices": [{"message": {"content": "hi"}}], "id": "c"}, was_object=True)
    assert answer.choices[0].message.content == answer["choices"][0]["message"]["content"] == "hi"
    assert answer.model_dump() == {"choices": [{"message": {"content": "hi"}}], "id": "c"}
    assert json.loads(json.dumps(answer)) == copy.deepcopy(answer)
    with pytest.raises(AttributeError, match="no field 'usage'; it has 'choices', 'id'"):
        _ = answer.usage
