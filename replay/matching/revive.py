"""Recorded values and errors, handed to an agent again.

The rules:

1. What was plain JSON is handed out as plain JSON, a copy each time, so that what an agent does to it stays there.
2. A model's answer that was an object (a client's `ChatCompletion`) comes back as a mapping whose keys are its
   attributes, too: nothing is imported, unpickled or constructed from what the recording says.
3. A recorded error comes back as its own type only when that type is built in or its module is loaded already,
   and without running its constructor; otherwise it is a `ReplayedError`.
4. An error that is none of the program's (`SystemExit`, `KeyboardInterrupt`) is never raised again as itself.
"""

from __future__ import annotations

import builtins
import copy
from typing import Any

from auditlog.values import Fault, Json
from replay.errors import ReplayedError
from replay.matching.restore import loaded


class Answer(dict[str, Any]):
    """A recorded object: its fields are items and attributes, as far down as it goes."""

    def __getattr__(self, name: str) -> Any:
        """Give a field."""
        try:
            return self[name]
        except KeyError:
            msg = f"the recorded answer has no field {name!r}; it has {', '.join(map(repr, self)) or 'none'}"
            raise AttributeError(msg) from None

    def __deepcopy__(self, memo: dict[int, Any]) -> Answer:
        """Copy every field; the default would look for attributes that are fields here."""
        return Answer({key: copy.deepcopy(item, memo) for key, item in self.items()})

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        """Give the fields as a plain mapping, as the clients' objects do."""
        return _plain(self)

    to_dict = model_dump


def value_of(recorded: Json, *, was_object: bool) -> Json:
    """Give a recorded value as the agent can use it.

    Args:
        recorded: the value as recorded.
        was_object: it was an object of some library, and its fields are wanted as attributes.
    """
    return _answer(recorded) if was_object else copy.deepcopy(recorded)


def error_of(fault: Fault) -> Exception:
    """Make the error that a recorded call raised.

    Args:
        fault: its type's name and its text, as recorded.
    """
    found = _error_type(fault.type)
    if found is None:
        return ReplayedError(fault.type, fault.message)
    try:
        error = (
            found(fault.message) if found.__module__ == "builtins" else found.__new__(found, fault.message)
        )
        if str(error) == fault.message:
            return error
        # `KeyError` prints its key's repr: the text that was recorded is the text that is raised.
        return _saying(found, fault.message)
    except Exception:  # noqa: BLE001 - a type that cannot be made with a text alone
        return ReplayedError(fault.type, fault.message)


def _error_type(name: str) -> type[Exception] | None:
    found = loaded(name) if "." in name else getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _saying(kind: type[Exception], message: str) -> Exception:
    saying: Any = type(kind.__name__, (kind,), {"__str__": lambda _: message, "__module__": kind.__module__})
    saying.__qualname__ = kind.__qualname__
    error: Exception = saying.__new__(saying, message)
    if str(error) != message:
        return ReplayedError(kind.__qualname__, message)
    return error


def _answer(value: Json) -> Json:
    match value:
        case dict():
            return Answer({key: _answer(item) for key, item in value.items()})
        case list():
            return [_answer(item) for item in value]
        case _:
            return value


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
