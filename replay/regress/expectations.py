"""What is expected of a regression case: a value, and its ways in from a command line, a TOML file and the store.

The rules:

1. An expectation is checkable without a model: calls with arguments, a hand-off, patterns, facts. What needs a judgement of
   taste is no regression.
2. Arguments that are named must be canonically equal; others are free. The rules of matching of the run apply.
3. What nobody says is not expected: an empty value expects nothing.
4. A file or a word that says something unknown is refused, with the line and the nearest word that is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import re2

from auditlog.toml_file import parse_toml
from auditlog.values import Json
from auditlog.wording import nearest, unknown
from replay.canonical import digest_of
from replay.errors import RunError


class CallPattern(NamedTuple):
    """Calls of a tool, some of whose arguments may be named."""

    tool: str
    arguments: Mapping[str, Json] | None = None
    """Those that have to be equal; None for any."""

    def __str__(self) -> str:
        said = (
            ""
            if self.arguments is None
            else " " + json.dumps(self.arguments, ensure_ascii=False, default=str)
        )
        return f"{self.tool}{said}"


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a candidate has to do in a case, and what it must not."""

    must_call: tuple[CallPattern, ...] = ()
    """Each by a call of its own."""
    must_not_call: tuple[CallPattern, ...] = ()
    other_writes: bool | None = None
    """False: no write but those in `must_call`."""
    escalation: bool | None = None
    """Whether the customer is handed to a person."""
    refuses: bool | None = None
    """Whether the answer declines what was asked."""
    must_match: tuple[str, ...] = ()
    """Patterns in RE2 syntax, any case, in the answer."""
    must_not_match: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    """What the answer has to say: numbers, ids and dates in any form, other words as they are."""
    not_facts: tuple[str, ...] = ()
    not_acts: tuple[str, ...] = ()
    """Speech acts that the answer must not do, such as `refund_promise`."""

    @property
    def digest(self) -> str:
        """What tells two of them apart, 64 hex digits."""
        return digest_of(to_json(self))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(words(self))

    def joined(self, other: Expectations) -> Expectations:
        """Add another's; where both say yes or no, the other's counts."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, tuple):
                changed[field.name] = (*mine, *(item for item in theirs if item not in mine))
            elif theirs is not None:
                changed[field.name] = theirs
        return replace(self, **changed)


NOTHING = Expectations()


def to_json(expected: Expectations) -> dict[str, Json]:
    """Give expectations as the store keeps them, what says nothing left out."""
    found: dict[str, Any] = asdict(expected)
    for name in ("must_call", "must_not_call"):
        found[name] = [{"tool": call.tool, "arguments": call.arguments} for call in getattr(expected, name)]
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value is not None and value not in ((), [])
    }


def from_json(content: Mapping[str, Any]) -> Expectations:
    """Read back what `to_json` gave; what a newer version added is left out."""
    known = {field.name for field in fields(Expectations)}
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
        if name in known
    }
    for name in ("must_call", "must_not_call"):
        if name in found:
            found[name] = tuple(CallPattern(str(item["tool"]), item.get("arguments")) for item in found[name])
    return Expectations(**found)


def words(expected: Expectations) -> list[str]:
    """Say expectations, one a line, as `--expect` and `--forbid` take them."""
    said = [f"expect tool:{call}" for call in expected.must_call]
    said += [f"forbid tool:{call}" for call in expected.must_not_call]
    for name, value in (
        ("write", expected.other_writes),
        ("escalation", expected.escalation),
        ("refusal", expected.refuses),
    ):
        if value is not None:
            said.append(f"{'expect' if value else 'forbid'} {name}")
    for verb, kind, values in (
        ("expect", "text", expected.must_match),
        ("forbid", "text", expected.must_not_match),
        ("expect", "fact", expected.facts),
        ("forbid", "fact", expected.not_facts),
        ("forbid", "act", expected.not_acts),
    ):
        said += [f"{verb} {kind}:{value}" for value in values]
    return said


def from_words(expect: Iterable[str], forbid: Iterable[str]) -> Expectations:
    """Read what `--expect` and `--forbid` say.

    Args:
        expect: `tool:NAME`, `tool:NAME {JSON arguments}`, `escalation`, `refusal`, `text:PATTERN`, `fact:VALUE`.
        forbid: the same, `write` for every write that is not expected, and `act:NAME` for a speech act.

    Raises:
        RunError: one cannot be read.
    """
    found = NOTHING
    for text in expect:
        found = found.joined(_word(text, good=True))
    for text in forbid:
        found = found.joined(_word(text, good=False))
    return found


def from_toml(text: str, name: str = "expectations.toml") -> Expectations:
    """Read an expectations file: the fields of `Expectations` by name.

    Raises:
        RunError: it is no TOML, or says something unknown; the message names the line.
    """
    file = parse_toml(text, name, RunError)
    known = [field.name for field in fields(Expectations)]
    for key, value in file.document.items():
        if key not in known:
            raise RunError(f"{file.at([key])}: {unknown('key', key, known)}.")
        try:
            _check(key, value)
        except RunError as error:
            raise RunError(f"{file.at([key])}: {error}") from None
    return from_json(file.document)


def _word(text: str, *, good: bool) -> Expectations:
    kind, colon, value = text.partition(":")
    match kind, value.strip():
        case "tool", tool if tool:
            call = _call(tool)
            return Expectations(must_call=(call,)) if good else Expectations(must_not_call=(call,))
        case "escalation", "" if not colon:
            return Expectations(escalation=good)
        case "refusal", "" if not colon:
            return Expectations(refuses=good)
        case "write", "" if not colon:
            return Expectations(other_writes=good)
        case "text", pattern if pattern:
            _check("must_match", [pattern])
            return Expectations(must_match=(pattern,)) if good else Expectations(must_not_match=(pattern,))
        case "fact", fact if fact:
            return Expectations(facts=(fact,)) if good else Expectations(not_facts=(fact,))
        case "act", act if act and not good:
            _check("not_acts", [act])
            return Expectations(not_acts=(act,))
    kinds = ["tool:NAME", "escalation", "refusal", "write", "text:PATTERN", "fact:VALUE", "act:NAME"]
    forms = {form.partition(":")[0]: form for form in kinds}
    if kind == "act" and value.strip():
        raise RunError(f"{text!r} can be forbidden and not expected: --forbid {text}.")
    if kind in forms:
        raise RunError(f"{text!r} is no expectation: it is written {forms[kind]}.")
    near = nearest(kind, forms)
    hint = f"; nearest {near!r}" if near is not None else ""
    raise RunError(f"{text!r} is no expectation{hint}. Write one of {', '.join(kinds)}.")


def _call(text: str) -> CallPattern:
    tool, brace, rest = text.partition("{")
    if not brace:
        return CallPattern(text.strip())
    try:
        arguments = json.loads(brace + rest)
    except ValueError as error:
        raise RunError(f"The arguments of {tool.strip()!r} are no JSON object: {error}.") from None
    return CallPattern(tool.strip(), arguments)


def _check(key: str, value: Any) -> None:
    """Refuse a value of a field that is none.

    Raises:
        RunError: saying what it takes.
    """
    match key, value:
        case (("must_call" | "must_not_call"), [*items]) if all(_is_call(item) for item in items):
            pass
        case (("must_call" | "must_not_call"), _):
            raise RunError(
                f'{key} is a list of tables such as [[{key}]] with tool = "NAME" and arguments = {{ … }}.'
            )
        case (("other_writes" | "escalation" | "refuses"), bool()):
            pass
        case (("other_writes" | "escalation" | "refuses"), _):
            raise RunError(f"{key} is true or false.")
        case _, [*items] if all(isinstance(item, str) and item for item in items):
            _check_texts(key, items)
        case _:
            raise RunError(f"{key} is a list of texts.")


def _check_texts(key: str, items: Sequence[str]) -> None:
    if key in ("must_match", "must_not_match"):
        options = re2.Options()
        options.log_errors = False
        for pattern in items:
            try:
                re2.compile(pattern, options)
            except re2.error as error:
                raise RunError(
                    f"The pattern {pattern!r} is no regular expression in RE2 syntax: {error}."
                ) from None
    if key == "not_acts":
        from replay.scorers.speech_acts import acts

        for act in items:
            if act not in acts():
                raise RunError(f"{unknown('speech act', act, acts())}.")


def _is_call(item: Any) -> bool:
    match item:
        case {"tool": str(tool), **rest} if tool and not rest.keys() - {"arguments"}:
            return isinstance(rest.get("arguments"), dict | None)
        case _:
            return False
