"""What a text does by its words: promises, offers, admissions, disclosures. schemas/speech_acts.json, read and applied.

The rules:

1. An act is looked for clause by clause, with RE2: in linear time, whatever the text.
2. A negated clause is no act: "I cannot promise a refund". What only looks like a negation ("not only", "no problem") is none.
3. A sentence under a condition or a question is no act: policies say what happens "once the return is here", and an offer
   that asks is not a commitment. "If you like" and "if that is fine" are no conditions, and a statement with "okay?" behind it
   is no question.
4. What stands in quotation marks, or is reported of somebody else, is mentioned and not said.
5. Signs that do not show, full-width letters and curly quotes are read as what they look like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import re2

from auditlog.resources import schema

LONGEST = 100_000
"""Characters of a text that are looked at."""
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-"}
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^a-zäöü])|\n+")
_CLAUSE = re.compile(
    r"[;:()]|\s-\s|,\s+(?:but|aber|sondern|doch|so|and|und|then|dann)\b|\s(?:but|aber|sondern)\s"
    r"|,?\s(?:and|und)\s(?=(?:I|we|you|it|ich|wir|Sie)\b)|,\s+(?=(?:I|we|you)(?:'|\b))",
    re.IGNORECASE,
)
_TAGGED = re.compile(r'^\W*(?:[\w ]{1,30}, )?(?:I|we|ich|wir)\b[^?]*,\s*[\w\s]{1,25}\?["\s]*$', re.IGNORECASE)
"""A statement, with a word behind it that asks for nothing but a nod."""
_QUOTED = re.compile(r'"[^"]{3,400}"')


class Act(NamedTuple):
    """Something that a text does."""

    act: str
    language: str
    text: str
    """The words that do it."""


@dataclass(frozen=True, slots=True)
class _Guard:
    negation: Any
    not_negation: Any
    before: bool
    condition: Any
    not_condition: Any
    reported: Any


@dataclass(frozen=True, slots=True)
class _Pattern:
    act: str
    language: str
    regexp: Any
    guarded: bool
    """Whether a negation takes it away."""


def acts() -> dict[str, str]:
    """Give every act that is known, with what it means."""
    return {entry["act"]: entry["doc"] for entry in schema("speech_acts")["acts"]}


def acts_in(text: str, wanted: Iterable[str], extra: Iterable[str] = ()) -> list[Act]:
    """Give the acts of these kinds that a text does, in order.

    Args:
        text: an answer.
        wanted: names of acts.
        extra: further patterns in RE2 syntax, found as the act `listed`; the guards of every language hold for them.
    """
    chosen = [*_patterns(frozenset(wanted)), *(_extra(pattern) for pattern in extra)]
    guards = _guards()
    found: list[Act] = []
    for sentence in _SENTENCE.split(_folded(text[:LONGEST])):
        if not sentence.strip():
            continue
        unquoted = _QUOTED.sub(" … ", sentence)
        asked = sentence.rstrip(' "')[-1:] == "?" and not _TAGGED.search(sentence)
        for clause in _CLAUSE.split(unquoted):
            for pattern in chosen:
                match = pattern.regexp.search(clause)
                if match is None:
                    continue
                heeded = [guards[pattern.language]] if pattern.language else list(guards.values())
                if asked or any(_excused(guard, pattern, unquoted, clause, match) for guard in heeded):
                    continue
                found.append(Act(pattern.act, pattern.language, match.group().strip()))
    return list(dict.fromkeys(found))


def _excused(guard: _Guard, pattern: _Pattern, sentence: str, clause: str, match: Any) -> bool:
    if pattern.guarded:
        scope = clause[: match.end()] if guard.before else clause
        if guard.negation.search(guard.not_negation.sub(" ", scope)):
            return True
    if guard.condition.search(guard.not_condition.sub(" ", sentence)):
        return True
    return guard.reported.search(sentence) is not None


def _folded(text: str) -> str:
    plain = _HIDDEN.sub("", unicodedata.normalize("NFKC", text))
    return re.sub(r"[ \t\r\f\v]+", " ", plain.translate(_QUOTES))


@cache
def _patterns(wanted: frozenset[str]) -> tuple[_Pattern, ...]:
    return tuple(
        _Pattern(entry["act"], item["language"], _compiled(item["pattern"]), item.get("negation", True))
        for entry in schema("speech_acts")["acts"]
        if entry["act"] in wanted
        for item in entry["patterns"]
    )


@cache
def _extra(pattern: str) -> _Pattern:
    return _Pattern("listed", "", _compiled(pattern), guarded=True)


@cache
def _guards() -> dict[str, _Guard]:
    return {
        language: _Guard(
            _compiled(guard["negation"]),
            _Sub(guard["not_negation"]),
            guard["negation_scope"] == "before",
            _compiled(guard["condition"]),
            _Sub(guard["not_condition"]),
            _compiled(guard["reported"]),
        )
        for language, guard in schema("speech_acts")["guards"].items()
    }


class _Sub:
    """A pattern whose matches are taken out."""

    def __init__(self, pattern: str) -> None:
        self._regexp = _compiled(pattern)

    def sub(self, by: str, text: str) -> str:
        """Put something else in the place of every match."""
        return str(self._regexp.sub(by, text))


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options)
