"""The one filter language of the command line, the store and the terminal UI.

    agent:support-bot status:error tool:issue_refund -escalated:yes cost>0.05 text:'double charge'

The rules:

1. A filter is a list of terms, and all of them must hold; an empty one lets everything pass.
2. A term is `field:value`, `field:a,b` (any of them), `field>n` with `>`, `>=`, `<`, `<=`, or a bare word, which is
   searched as text. A `-` before a term turns it round.
3. `*` in a value stands for anything. Quotes `'…'` or `"…"` around a value let it hold spaces and commas, and a
   backslash takes the meaning from the character behind it.
4. Names compare as whole names, text as a part of what was said; neither cares for upper and lower case.
5. A term holds for a conversation when any span of it makes it hold; at the level of turns, any span of the turn.
   Counts and sums are taken over the conversation, or over the turn.
6. Whatever the filter says reaches the database as a bound parameter, never as SQL.
7. A filter that does not parse raises FilterError, which says where, what was nearest, and gives an example.

`str(filter)` writes a filter down again, so that parsing it gives an equal one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NoReturn

from auditlog.errors import FilterError
from auditlog.wording import nearest

Level = Literal["conversation", "turn"]
Operator = Literal[":", ">", ">=", "<", "<="]

MAX_CHARACTERS = 10_000
MAX_TERMS = 100


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a filter can name."""

    name: str
    takes: Literal["name", "text", "choice", "tag", "number"]
    example: str
    help: str
    choices: tuple[str, ...] = ()
    """The values of a `choice`, in the vocabulary of the store."""


FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("agent", "name", "agent:support-bot", "the agent's name"),
        Field("version", "name", "version:v2", "the agent's version"),
        Field("model", "name", "model:gpt-4.1*", "the model requested or served"),
        Field("provider", "name", "provider:openai", "who served the model"),
        Field("status", "choice", "status:error", "how the turns ended", ("ok", "error", "incomplete")),
        Field(
            "why",
            "choice",
            "why:escalated",
            "why a conversation stands out",
            ("error", "escalated", "incomplete", "tool error", "lossy"),
        ),
        Field("tool", "name", "tool:issue_refund", "a tool that was called"),
        Field(
            "kind",
            "choice",
            "kind:handoff",
            "a kind of span",
            ("agent", "model", "tool", "retriever", "embedding", "guardrail", "handoff", "other"),
        ),
        Field("effect", "choice", "effect:write", "a tool's effect", ("read", "write", "control")),
        Field("user", "name", "user:u-17", "the customer"),
        Field("conversation", "name", "conversation:case-8812", "the conversation's id"),
        Field(
            "text",
            "text",
            "text:'double charge'",
            "anything said, retrieved, passed to a tool or given back by it",
        ),
        Field(
            "subject",
            "text",
            "subject:'<email:kqzwtbnmhxrjvd>'",
            "a customer by token: as the user, in the conversation's id, or in anything recorded",
        ),
        Field("error", "name", "error:Timeout*", "the type of an error that was raised"),
        Field("doc", "name", "doc:refund-policy", "the id or source of a retrieved document"),
        Field("tag", "tag", "tag.arm:base", "a tag and its value"),
        Field("prompt", "name", "prompt:greeting@3", "the prompt's name, or name@version"),
        Field("escalated", "choice", "escalated:yes", "whether it was handed to a person", ("yes", "no")),
        Field("tokens", "number", "tokens>2000", "tokens in and out"),
        Field("cost", "number", "cost>=0.05", "US dollars"),
        Field("duration", "number", "duration>2s", "time from start to end, in s unless it says ms, m or h"),
        Field("turns", "number", "turns>3", "turns of the conversation"),
        Field("tools", "number", "tools>=2", "tool calls"),
    )
}

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_CHOICE_SPELLINGS = {"true": "yes", "false": "no", "tool-error": "tool error", "tool_error": "tool error"}
_HEAD = re.compile(r"(?P<negated>-?)(?P<field>[A-Za-z_]\w*)(?:\.(?P<key>[^\s:<>='\",]+))?(?P<op>:|>=|<=|>|<)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|k)?")
_PLAIN_KEY = re.compile(r"[^\s:<>='\",]+")
_QUOTED_TO_RENDER = re.compile(r"""[\s,'"]|\A\Z|\A-""")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A value with wildcards: the literal pieces between its `*`."""

    pieces: tuple[str, ...]

    @property
    def literal(self) -> str | None:
        """The value, where it has no wildcard; else None."""
        return self.pieces[0] if len(self.pieces) == 1 else None

    def __str__(self) -> str:
        """Write the pattern as a filter would."""
        text = "*".join(re.sub(r"([\\*])", r"\\\1", piece) for piece in self.pieces)
        if not _QUOTED_TO_RENDER.search(text):
            return text
        return "'" + text.replace("'", "\\'") + "'"


@dataclass(frozen=True, slots=True)
class Match:
    """A term that compares a field with values, any of which may be it."""

    field: str
    values: tuple[Pattern, ...]
    key: str | None = None
    """The tag's key, for `tag`."""
    negated: bool = False

    def __str__(self) -> str:
        """Write the term as a filter would."""
        values = ",".join(map(str, self.values))
        sign = "-" * self.negated
        if self.key is None:
            return f"{sign}{self.field}:{values}"
        return f"{sign}{self.field}.{self.key}:{values}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A term that compares a count or a sum with a number."""

    field: str
    op: Operator
    number: float
    """Tokens, US dollars, seconds or a count."""
    negated: bool = False

    def __str__(self) -> str:
        """Write the term as a filter would."""
        number = format(Decimal(repr(self.number)), "f")
        return f"{'-' * self.negated}{self.field}{self.op}{number}"


Term = Match | Comparison


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter: terms that must all hold."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """Write the filter down so that parsing it gives an equal one."""
        return " ".join(map(str, self.terms))

    def where(self, level: Level = "conversation") -> tuple[str, list[Any]]:
        """Give the filter as an SQL condition.

        Args:
            level: `conversation` for a condition on rows of the view `conversations`, `turn` for `turns`; the view
                `spans` must be in reach as well.

        Returns:
            SQL with `?` placeholders, and the values to bind.
        """
        from auditlog.filters.sql import condition

        return condition(self.terms, level)


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        FilterError: the text is no filter; the message says where and what was nearest.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(
            f"The filter has {len(text)} characters, and {MAX_CHARACTERS} is the most. Shorten it."
        )
    terms: list[Term] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return Filter(tuple(terms))
        if len(terms) == MAX_TERMS:
            _fail(at, f"it has more than {MAX_TERMS} terms. Shorten it")
        term, at = _term(text, at)
        terms.append(term)


def _term(text: str, at: int) -> tuple[Term, int]:
    head = _HEAD.match(text, at)
    if head is None:
        return _bare_word(text, at)
    name, key, negated = head["field"].lower(), head["key"], bool(head["negated"])
    field = FIELDS.get(name)
    start = head.start("field")
    if field is None:
        _fail(start, _unknown_field(head["field"], text, at))
    if key is not None and field.takes != "tag":
        _fail(start, f"`{name}` takes no key, only `tag` does. Example: {field.example}")
    values, end = _values(text, head.end(), field)
    if field.takes == "number":
        return Comparison(name, _operator(head["op"]), _number(field, values, head.end()), negated), end
    if head["op"] != ":":
        _fail(
            start,
            f"`{name}` is not a number, so it takes `:` and not `{head['op']}`. Example: {field.example}",
        )
    if field.takes == "tag" and key is None:
        key, values = _key_of(values, head.end())
    if field.takes == "choice":
        values = tuple(_choice(field, value, head.end()) for value in values)
    return Match(name, values, key, negated), end


def _operator(op: str) -> Operator:
    match op:
        case ">" | ">=" | "<" | "<=":
            return op
        case _:
            return ":"


def _bare_word(text: str, at: int) -> tuple[Term, int]:
    negated = text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace()
    value, end = _value(text, at + negated, stop_at_comma=False)
    return Match("text", (value,), None, negated), end


def _values(text: str, at: int, field: Field) -> tuple[tuple[Pattern, ...], int]:
    values = []
    while True:
        if at == len(text) or text[at].isspace() or text[at] == ",":
            _fail(at, f"`{field.name}` has no value here. Example: {field.example}")
        value, at = _value(text, at, stop_at_comma=True)
        values.append(value)
        if at == len(text) or text[at] != ",":
            return tuple(values), at
        at += 1


def _value(text: str, at: int, *, stop_at_comma: bool) -> tuple[Pattern, int]:
    """Read one value, quoted or not, from a character that is no space."""
    start = at
    quote = text[at] if text[at] in "'\"" else ""
    at += len(quote)
    pieces = [""]
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            pieces[-1] += text[at + 1]
            at += 2
            continue
        if character == quote or (
            not quote and (character.isspace() or (character == "," and stop_at_comma))
        ):
            break
        if character == "*":
            pieces.append("")
        else:
            pieces[-1] += character
        at += 1
    if quote:
        if at == len(text):
            _fail(start, f"the quote {quote} is never closed. Example: {FIELDS['text'].example}")
        at += 1
        if at < len(text) and not text[at].isspace() and text[at] != ",":
            _fail(
                at, f"a space or a comma belongs behind the closing quote. Example: {FIELDS['text'].example}"
            )
        if at < len(text) and text[at] == "," and not stop_at_comma:
            _fail(
                at,
                f"a list of values belongs to a field. Example: {FIELDS['tool'].example},escalate_to_human",
            )
    return Pattern(tuple(pieces)), at


def _number(field: Field, values: tuple[Pattern, ...], at: int) -> float:
    written = values[0].literal or ""
    found = _NUMBER.fullmatch(written) if len(values) == 1 else None
    unit = found[2] or "" if found else ""
    units = _SECONDS if field.name == "duration" else ("", "k")
    if found is None or unit not in units or len(found[1]) > 40:
        _fail(at, f"`{field.name}` takes one number ({field.help}). Example: {field.example}")
    if field.name == "duration":
        return float(found[1]) * _SECONDS[unit]
    return float(found[1]) * (1000 if unit == "k" else 1)


def _choice(field: Field, value: Pattern, at: int) -> Pattern:
    written = (value.literal if value.literal is not None else str(value)).lower()
    written = _CHOICE_SPELLINGS.get(written, written)
    if written not in field.choices:
        _unknown_choice(field, written, at)
    return Pattern((written,))


def _unknown_choice(field: Field, written: str, at: int) -> NoReturn:
    near = nearest(written, field.choices)
    hint = "" if near is None else f"the nearest is `{near}`; "
    one_of = ", ".join(field.choices)
    _fail(
        at,
        f"`{field.name}` knows no {_shown(written)}; {hint}it takes one of {one_of}. Example: {field.example}",
    )


def _key_of(values: tuple[Pattern, ...], at: int) -> tuple[str, tuple[Pattern, ...]]:
    """Part `tag:key=value` into the key and the values; `tag:key` asks only for the tag."""
    head, equals, rest = values[0].pieces[0].partition("=")
    if (
        not _PLAIN_KEY.fullmatch(head)
        or (not equals and len(values[0].pieces) > 1)
        or (not equals and values[1:])
    ):
        _fail(at, f"`tag` takes a key and a value. Example: {FIELDS['tag'].example}, or tag:arm=base")
    if not equals:
        return head, (Pattern(("", "")),)
    return head, (Pattern((rest, *values[0].pieces[1:])), *values[1:])


def _unknown_field(written: str, text: str, at: int) -> str:
    word = text[at:].split(maxsplit=1)[0]
    near = nearest(written.lower(), FIELDS, 0.6)
    if near is not None:
        field = FIELDS[near]
        return f"there is no field {_shown(written)}; the nearest is `{field.name}`. Example: {field.example}"
    known = ", ".join(FIELDS)
    return (
        f"there is no field {_shown(written)}. To search for text that holds a colon, quote it: "
        f"{_shown(word)}. Fields: {known}"
    )


def _shown(written: str) -> str:
    from auditlog.safe_text import safe_text

    return "'" + safe_text(written, width=40) + "'"


def _fail(at: int, reason: str) -> NoReturn:
    raise FilterError(f"The filter does not parse at character {at + 1}: {reason}.")
