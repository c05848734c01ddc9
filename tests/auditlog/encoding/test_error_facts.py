"""What is recorded of an error is what it says, and nothing of it runs."""

import asyncio
import pathlib

import pydantic
import pytest

from auditlog.encoding.error_facts import MAX_MESSAGE, MAX_STACK, error_facts


class Evil:
    """Whose every text ends the process's patience."""

    def __str__(self):
        """Never end."""
        raise SystemExit

    __repr__ = __format__ = __str__

    def __getattr__(self, name):
        """Answer nothing."""
        raise SystemExit


class EvilText(str):
    """A text that is another one when it is asked."""

    __slots__ = ()

    def __str__(self):
        """Never end."""
        raise SystemExit

    __repr__ = __format__ = __str__


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        ValueError(),
        ValueError("a", 5, None, b"x", 1.5),
        ValueError({"code": [1, {"of": ("x",)}]}),
        KeyError("x"),
        OSError(2, "No such file", "/nowhere"),
        OSError(2, "No such file", pathlib.Path("/nowhere")),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("f.py", 1, 2, "x = ")),
        ImportError("none", name="x"),
        StopIteration(3),
        asyncio.CancelledError(),
        ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    ],
    ids=repr,
)
def test_a_plain_error_says_what_it_says(error):
    """The text of an error of Python's own, made of plain values, is its text."""
    facts = error_facts(error)
    assert (str(error), True) == (facts.message, facts.exact)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueError(Evil()),
        lambda: ValueError("x", Evil()),
        lambda: ValueError([Evil()]),
        lambda: ValueError({"a": (Evil(),)}),
        lambda: ValueError({Evil(): 1}),
        lambda: ValueError(EvilText("x")),
        lambda: KeyError(Evil()),
        lambda: OSError(2, Evil()),
        lambda: OSError(2, "x", EvilText("f")),
        lambda: ExceptionGroup(EvilText("x"), [ValueError(Evil())]),
        lambda: SyntaxError(EvilText("x")),
        lambda: type("Own", (Exception,), {"__str__": Evil.__str__, "__repr__": Evil.__str__})("x"),
        lambda: type("Named", (Exception,), {"__getattribute__": Evil.__getattr__})("x"),
        type("Noted", (Exception,), {"__getattr__": Evil.__getattr__}),
    ],
    ids=range(14),
)
def test_a_hostile_error_is_recorded_without_being_asked(make):
    """No text of a stranger's object is made: what stands for it is its type."""
    assert error_facts(make()).type


def test_a_huge_error_is_cut():
    """Message and stack have bounds, whatever the arguments hold."""
    for value in ("x" * 50_000_000, ["x" * 1000] * 100_000, 10**5000, list(range(10**6))):
        facts = error_facts(ValueError(value))
        assert MAX_MESSAGE >= len(facts.message)
        assert MAX_STACK >= len(facts.stack)
        assert not facts.exact


def test_a_field_stands_for_a_text_that_is_not_asked_for():
    """Where an error has a `__str__` of its own and no arguments, its field `message` is what it says."""

    class Refused(Exception):  # noqa: N818
        def __init__(self, order):
            self.message = f"refused {order}"

        def __str__(self):
            return "?"

    error = Refused("A-1")
    error.args = ()
    assert ("refused A-1", False) == (error_facts(error).message, error_facts(error).exact)


def test_a_validation_error_says_what_is_wrong_and_not_with_what():
    """A pydantic error names the fields and what is wrong with them, and prints no value."""

    class Order(pydantic.BaseModel):
        number: int

    with pytest.raises(pydantic.ValidationError) as caught:
        Order(number="secret")
    message = error_facts(caught.value).message
    assert message.startswith("1 validation error for Order\nnumber: Input should be a valid integer")
    assert "secret" not in message


def test_a_group_names_its_errors():
    """The stack of a group tells the errors in it, to a depth."""
    error = ExceptionGroup("outer", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])
    assert [
        "ExceptionGroup: outer (2 sub-exceptions)",
        "  - ValueError: a",
        "  - ExceptionGroup: inner (1 sub-exception)",
        "    - KeyError: 'b'",
    ] == error_facts(error).stack.splitlines()


def test_a_deep_stack_is_cut_and_suggests_nothing():
    """The last frames are kept; the objects at hand are not asked for names that are alike."""

    class Nosy:
        def __dir__(self):
            raise SystemExit

    def fall(depth):
        return fall(depth - 1) if depth else Nosy().atribute

    with pytest.raises(AttributeError) as caught:
        fall(200)
    error = caught.value
    error.add_note("in the middle")
    assert "Previous line repeated 27 more times" in error_facts(error).stack
    assert error_facts(error).stack.endswith("in the middle\n")


def test_a_text_that_is_no_unicode_is_readable():
    """Half a surrogate pair in a message is written out."""
    assert "\\ud83d" == error_facts(ValueError("\ud83d")).message
