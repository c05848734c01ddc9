"""Reads the fields of a stranger's object without running anything of it.

The rules:

1. Classes are read through `type` and objects through the descriptors that the interpreter itself made: neither a
   property, nor `__getattr__`, `__getattribute__` or `__class__` of a class, nor its metaclass is asked.
2. What only running code would tell is not there.
"""

from __future__ import annotations

import types
from typing import Any


def members_of(kind: type) -> dict[str, Any]:
    """Give what a type's classes define, the nearest last: nothing is asked of the type."""
    found: dict[str, Any] = {}
    for base in reversed(type.__getattribute__(kind, "__mro__")):
        found.update(type.__getattribute__(base, "__dict__"))
    return found


def dict_of(value: Any) -> dict[str, Any]:
    """Give an object's `__dict__`; an empty one where it has none of the ordinary kind."""
    found = _member(type(value), "__dict__")
    if type(found) is not types.GetSetDescriptorType:
        return {}
    fields = found.__get__(value)
    return fields if type(fields) is dict else {}


def field_of(value: Any, kind: type, name: str) -> Any:
    """Read a field out of an object's `__dict__`, its slots, or its class; run nothing of it.

    Raises:
        AttributeError: it has none, or only a property that would run.
    """
    if name in (fields := dict_of(value)):
        return fields[name]
    found = _member(kind, name)
    if type(found) is types.MemberDescriptorType:
        return found.__get__(value)
    if found is None or hasattr(type(found), "__get__"):
        raise AttributeError(name)
    return found


def slot_of(value: Any, name: str) -> Any:
    """Read a slot; None where there is none, or nothing in it."""
    found = _member(type(value), name)
    if type(found) is not types.MemberDescriptorType:
        return None
    try:
        return found.__get__(value)
    except AttributeError:
        return None


def _member(kind: type, name: str) -> Any:
    for base in type.__getattribute__(kind, "__mro__"):
        members = type.__getattribute__(base, "__dict__")
        if name in members:
            return members[name]
    return None
