"""What an error says, without running any of its code.

The rules:

1. `__str__` is called only where it is one that Python itself brings, and everything that it would print is of a built-in type.
   An error's own `__str__`, which may hang, write or never end, is not asked: its text is then made of its arguments, or of its
   field `message`, and is not `exact`.
2. A stack is the places that the error went through; neither local values nor names of the objects at hand are looked at.
3. Everything has a bound: 10,000 characters of message, 20,000 of stack, 30 frames, 10 errors of a group.
"""

from __future__ import annotations

import itertools
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditlog.encoding.encode import encode, type_name
from auditlog.encoding.object_fields import dict_of

MAX_MESSAGE = 10_000
MAX_STACK = 20_000
MAX_FRAMES = 30
_MOST_TOLD = 10
_MOST_ITEMS = 1000
_DEEPEST = 8
_PRINTABLE = frozenset({str, int, float, bool, complex, bytes, type(None), type(...)}) | {
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    pathlib.WindowsPath,
    pathlib.PureWindowsPath,
}
_BOXES = frozenset({tuple, list, dict, set, frozenset})
_FIELDS = ("message", "msg", "detail", "reason")


class ErrorFacts(NamedTuple):
    """What is recorded of an error."""

    type: str
    """A bare name for a built-in error, else with its module."""
    message: str
    stack: str | None
    exact: bool
    """The message is what `str(error)` gives."""

    def told(self) -> dict[str, str]:
        """Give the part `error` of a record."""
        facts = {"type": self.type, "message": self.message}
        return facts if self.stack is None else {**facts, "stack": self.stack}


def error_facts(error: BaseException, *, stack: bool = True) -> ErrorFacts:
    """Give what an error says; never raise, and run nothing of it."""
    name = type_name(type(error)).removeprefix("builtins.")
    try:
        message, exact = _message(error)
    except Exception as failure:  # noqa: BLE001 - an error that cannot be read is still recorded
        message, exact = f"(its text cannot be read: {type_name(type(failure))})", False
    text = None
    if stack:
        try:
            text = _stack(error, name, message)
        except Exception:  # noqa: BLE001 - the same
            text = f"{name}: {message}"
    return ErrorFacts(
        name,
        _readable(message[:MAX_MESSAGE]),
        text and _readable(text),
        exact and len(message) <= MAX_MESSAGE,
    )


def _message(error: BaseException) -> tuple[str, bool]:
    """Give an error's text, and whether it is what `str(error)` gives."""
    kind = type(error)
    args = _args(error)
    owner, member = _printer(kind)
    if owner is BaseExceptionGroup and args and type(args[0]) is str and len(args) == 2:
        count = len(_members(error))
        return f"{args[0]} ({count} sub-exception{'' if count == 1 else 's'})", True
    if type(member) is types.WrapperDescriptorType and owner.__module__ == "builtins":
        if owner is BaseException and len(args) == 1 and type(args[0]) is str:
            return args[0], True
        if _printable([args, *_more(error)]):
            return member(error), True
    elif kind.__module__ == "pydantic_core._pydantic_core" and (told := _pydantic(error)) is not None:
        return told, False
    if len(args) == 1:
        return _text(args[0]), False
    if args:
        return f"({', '.join(_text(arg) for arg in args[:_MOST_TOLD])})", False
    fields = dict_of(error)
    found = next((fields[name] for name in _FIELDS if type(fields.get(name)) is str), "")
    return found, False


def _args(error: BaseException) -> tuple[Any, ...]:
    found: Any = BaseException.args.__get__(error)  # type: ignore[attr-defined]
    return found if type(found) is tuple else ()


def _printer(kind: type) -> tuple[type, Any]:
    """Give the class whose `__str__` would be called, and that method."""
    for base in type.__getattribute__(kind, "__mro__"):
        members = type.__getattribute__(base, "__dict__")
        if "__str__" in members:
            return base, members["__str__"]
    return object, None


def _more(error: BaseException) -> list[Any]:
    """Give what some built-in errors print besides their arguments."""
    names = {OSError: ("filename", "filename2"), SyntaxError: ("msg", "filename", "lineno")}
    return [
        getattr(base, name).__get__(error)
        for base, printed in names.items()
        if issubclass(type(error), base)
        for name in printed
    ]


def _printable(values: list[Any]) -> bool:
    """Whether printing values is short, and runs nothing but Python's own code."""
    level, room = values, _MOST_ITEMS
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str or kind is bytes:
                room -= len(value) // 100
            elif kind is dict:
                below += itertools.chain.from_iterable(dict.items(value)) if len(value) < room else ()
                room -= len(value)
            elif kind in _BOXES:
                below += value if len(value) < room else ()
                room -= len(value)
            elif kind not in _PRINTABLE:
                return False
            room -= 1
        if room < 0:
            return False
        if not below:
            return True
        level = below
    return False


def _text(value: Any) -> str:
    if type(value) is str:
        return value[: MAX_MESSAGE + 1]
    if type(value) in _PRINTABLE and _printable([value]):
        try:
            return repr(value)
        except ValueError:  # an integer of more digits than Python prints
            return hex(value)
    if type(value) in _PRINTABLE or type(value) in _BOXES:
        return encode(value).text[:MAX_MESSAGE].decode("utf-8", "replace")
    return type_name(type(value))


def _pydantic(error: Any) -> str | None:
    """Give what a validation found; its own text would print the values that it was given."""
    errors = getattr(sys.modules.get("pydantic_core"), "ValidationError", None)
    if errors is None or type(error) is not errors:
        return None
    found = errors.errors(error, include_url=False, include_context=False, include_input=False)
    lines = [
        f"{len(found)} validation error{'' if len(found) == 1 else 's'} for {errors.title.__get__(error)}"
    ]
    lines += [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_MOST_TOLD]]
    return "\n".join(lines)


def _stack(error: BaseException, name: str, message: str) -> str:
    import traceback

    frames = BaseException.__traceback__.__get__(error)  # type: ignore[attr-defined]
    # The decorator's own frames stand before those of the body.
    while (
        frames is not None and frames.tb_frame.f_globals.get("__package__") == "auditlog" and frames.tb_next
    ):
        frames = frames.tb_next
    lines: list[str] = []
    if frames is not None:
        places = traceback.StackSummary.extract(traceback.walk_tb(frames), limit=-MAX_FRAMES)
        lines += ["Traceback (most recent call last):\n", *places.format()]
    lines.append(f"{name}: {message[:MAX_MESSAGE]}\n" if message else f"{name}\n")
    notes = dict_of(error).get("__notes__")
    if type(notes) is list:
        lines += [f"{note}\n" for note in notes[:_MOST_TOLD] if type(note) is str]
    lines += _told_below(error, 1)
    return "".join(lines)[-MAX_STACK:]


def _told_below(error: BaseException, depth: int) -> Iterator[str]:
    """Name the errors of a group."""
    for inner in _members(error)[:_MOST_TOLD] if depth <= _DEEPEST else ():
        found = error_facts(inner, stack=False)
        yield f"{'  ' * depth}- {found.type}: {found.message[:1000]}\n"
        yield from _told_below(inner, depth + 1)


def _members(error: BaseException) -> tuple[BaseException, ...]:
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    return BaseExceptionGroup.exceptions.__get__(error)  # type: ignore[attr-defined]


def _readable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
