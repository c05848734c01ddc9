"""What an answer claims that nothing supports: numbers, ids and dates in no source of its turn.

The rules:

1. A claim is a number, an id (a word with digits in it), a date, a weekday, "tomorrow" or a time of day. Names,
   adjectives and promises are other checks' business.
2. A claim is supported when a source says the same in any form: `1,250.00` and `1250`, `5 days` and `five days`,
   `$40` and `4000` cents, `15%` and `0.15`, `14 March` and `2026-03-14T09:00:00Z`, `2 pm` and `14:00`, and a weekday
   by a date that falls on it.
3. No arithmetic: a sum that no source holds is not supported.
4. The numbers of a list (`1.`, `2)`) and bare counts up to ten (`2 orders`) are not claims; with a currency, a per
   cent sign or a unit of time they are.
5. A day and month in figures may be read either way round, and supports and is supported by both readings.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from auditlog.values import Json

ClaimKind = Literal["number", "date"]

LARGEST_COUNT = 10
"""A bare whole number up to this one is a count, not a claim."""

_LONGEST_SOURCE = 1_000_000
"""Characters of one source that are looked at."""

_BETWEEN = "\n\0\n"
"""Stands between two values of one source, so that no claim reaches from one into the other."""

_WORTH_KEEPING = 500
"""Characters; what longer sources say is kept, since they come back in other cases."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen twenty"
        ).split()
    )
} | {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
}

_MONTH = r"(?P<{0}>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")(?:\.(?=,?\s+\d))?"
_CURRENCY = r"[$€£¥]|\b(?:USD|EUR|GBP)\b"
_FIGURE = (
    r"\d{1,3}(?:,\d{3}){1,9}(?:\.\d{1,20})?|\d{1,3}(?:\.\d{3}){1,9},\d{1,2}|\d{1,30},\d{1,2}"
    r"|\d{1,30}(?:\.\d{1,20})?"
)
_UNIT = (
    r"[\s-]*(?:(?:business|working|calendar|full)[\s-]+)?"
    r"(?:%|percent\b|per cent\b|days?\b|hours?\b|hrs?\b|minutes?\b|mins?\b|weeks?\b|months?\b|years?\b"
    r"|dollars?\b|euros?\b|pounds?\b|cents?\b|USD\b|EUR\b|GBP\b|[€£])"
)

_CLAIM = re.compile(
    # Everything begins at a word, a sign or a line: the middle of a word is passed over at once.
    r"(?:(?<!\w)(?=\w)|(?=[#$€£¥])|^)(?:"
    r"(?P<iso>(?<!\w)(?P<iso_year>\d{4})-(?P<iso_month>\d{2})-(?P<iso_day>\d{2})(?!\d))"
    r"(?P<iso_time>[T ](?P<iso_hour>\d{2}):(?P<iso_minute>\d{2})(?::\d{2}(?:[.,]\d{1,9})?)?"
    r"(?:Z\b|[+-]\d{2}:?\d{2})?)?"
    r"|(?P<figures>(?<![\w./-])(?P<first>\d{1,2})[./](?P<second>\d{1,2})[./](?P<figures_year>\d{4}|\d{2})(?![\w/]))"
    r"|(?P<day_month>(?<!\w)(?P<dm_day>\d{1,2})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?" + _MONTH.format("dm_month") +
    r"(?!\w)(?:,?\s+(?P<dm_year>\d{4})(?![\d-]))?)"
    r"|(?P<month_day>\b" + _MONTH.format("md_month") +
    r"\s+(?P<md_day>\d{1,2})(?:st|nd|rd|th)?(?!\w)(?:,?\s+(?P<md_year>\d{4})(?![\d-]))?)"
    r"|(?P<clock>(?<![\w:.])(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::\d{2})?(?:\s*(?P<half>[ap])(?:m\b|\.m\.))?"
    r"|\s*(?P<bare_half>[ap])(?:m\b|\.m\.))(?![\w:]))"
    r"|(?P<weekday>\b(?:" + "|".join(_WEEKDAYS) + r")\b)"
    r"|(?P<tomorrow>\btomorrow\b)"
    r"|(?P<always>(?<![\w/])24/7(?![\w/]))"
    r"|(?P<list_mark>^[ \t]*\d{1,2}[.)](?=\s))"
    r"|(?P<amount>(?:(?P<currency>" + _CURRENCY + r")\s?)?(?<![\w.,])(?P<figure>" + _FIGURE + r")"
    # Part of a longer word is an id; `3-5 days` is two numbers, `555-0100` is one id.
    r"(?!\w|[.,]\d|-[\w-]{0,64}[a-z]|-\d{1,20}-|-\d{3})(?P<unit>" + _UNIT + r")?)"
    r"|(?P<id>(?<![\w-])(?<!\w[.,])\#?(?=[\w-]{0,64}\d)\w(?:[\w-]*\w)?))",
    re.IGNORECASE | re.MULTILINE,
)  # fmt: skip
_ANY_CLAIM = re.compile(r"\d|day\b|tomorrow\b", re.IGNORECASE)
"""What every claim has in it; most short texts have none, and need no closer look."""
_WORD = re.compile(r"[a-z]+")


class Claim(NamedTuple):
    """Something checkable that a text says."""

    kind: ClaimKind
    text: str
    """As the text has it."""
    forms: tuple[str, ...]
    """Normal forms, any one of which supports it."""


def claims_in(text: str) -> tuple[Claim, ...]:
    """Give the claims of an answer, each once, in order."""
    unique: dict[tuple[str, ...], Claim] = {}
    for claim in _found(text, counts=False):
        unique.setdefault(claim.forms, claim)
    return tuple(unique.values())


class Sources:
    """Everything that an answer's claims may rest on; each source is read once, and only when a claim needs it."""

    def __init__(self) -> None:
        self._unread: list[Json] = []
        self._forms: set[str] = set()

    def add(self, sources: Iterable[Json]) -> None:
        """Take in texts and JSON values, likeliest first; these are read before what was added earlier."""
        self._unread.extend(reversed(list(sources)))

    def unsupported(self, text: str) -> tuple[Claim, ...]:
        """Give the claims of an answer that no source supports."""
        claims = [claim for claim in claims_in(text) if self._forms.isdisjoint(claim.forms)]
        while claims and self._unread:
            source = _BETWEEN.join(_texts(self._unread.pop()))
            self._forms |= _forms_of_long(source) if len(source) > _WORTH_KEEPING else _forms_of(source)
            claims = [claim for claim in claims if self._forms.isdisjoint(claim.forms)]
        return tuple(claims)


def _forms_of(source: str) -> frozenset[str]:
    """Give the normal forms of everything that a source says."""
    clipped = source[:_LONGEST_SOURCE]
    forms = {form for claim in _found(clipped, counts=True) for form in _support(claim)}
    words = _WORD.findall(clipped.lower())
    return frozenset(forms.union(f"number:{_NUMBER_WORDS[word]}" for word in words if word in _NUMBER_WORDS))


# System prompts, policies and articles come back in case after case of a run.
_forms_of_long = functools.lru_cache(maxsize=128)(_forms_of)


def _texts(value: Json) -> Iterator[str]:
    """Give every text and number in a value; iterative, since recorded content may be nested to any depth."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case bool() | None:
                pass
            case int() | float() as number:
                yield _plain_number(number)
            case dict() as item:
                waiting.extend(item.keys())
                waiting.extend(item.values())
            case list() | tuple() as item:
                waiting.extend(item)
            case _:
                pass


def _plain_number(number: float) -> str:
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text.removeprefix("-")


def _found(text: str, *, counts: bool) -> Iterator[Claim]:
    """Give what a text says; `counts` takes small bare numbers and list marks in, as sources do."""
    if _ANY_CLAIM.search(text) is None:
        return
    for match in _CLAIM.finditer(text):
        said = match.group().strip()
        if match["iso"]:
            yield from _iso(match, said)
        elif match["figures"]:
            yield from _in_figures(match, said)
        elif match["day_month"]:
            yield from _named(match["dm_day"], match["dm_month"], match["dm_year"], said)
        elif match["month_day"]:
            yield from _named(match["md_day"], match["md_month"], match["md_year"], said)
        elif match["clock"]:
            yield from _clock(match, said)
        elif match["weekday"]:
            yield Claim("date", said, (f"weekday:{said.lower()}",))
        elif match["tomorrow"]:
            yield Claim("date", said, ("tomorrow",))
        elif match["list_mark"]:
            if counts:
                yield Claim("number", said, (f"number:{int(said.rstrip('.)'))}",))
        elif match["amount"]:
            yield from _amount(match, said, counts=counts)
        elif match["id"]:
            name = said.lstrip("#").casefold()
            counted = re.match(r"(\d{1,30})-[a-z]+$", name)  # `1000-piece`
            number = (f"number:{_normal(Decimal(counted[1]))}",) if counted else ()
            yield Claim("number", said, (f"id:{name}", *number))


def _iso(match: re.Match[str], said: str) -> Iterator[Claim]:
    forms = _date_forms(match["iso_year"], match["iso_month"], match["iso_day"])
    if not forms:
        return
    yield Claim("date", match["iso"] if match["iso_time"] else said, forms)
    if match["iso_time"]:
        hour, minute = match["iso_hour"], match["iso_minute"]
        yield Claim("date", f"{hour}:{minute}", (f"time:{int(hour)}:{minute}",))


def _in_figures(match: re.Match[str], said: str) -> Iterator[Claim]:
    year = match["figures_year"]
    full = year if len(year) == 4 else f"20{year}"
    forms = (
        *_date_forms(full, match["first"], match["second"]),
        *_date_forms(full, match["second"], match["first"]),
    )
    if forms:
        yield Claim("date", said, tuple(dict.fromkeys(forms)))


def _named(day: str, month: str, year: str | None, said: str) -> Iterator[Claim]:
    forms = _date_forms(year, str(_MONTHS[month.lower()]), day)
    if forms:
        yield Claim("date", said, forms)


def _date_forms(year: str | None, month: str, day: str) -> tuple[str, ...]:
    """Give the normal form of a date, with the year where there is one; none for a date that does not exist."""
    try:
        # A leap year admits every day that a date without a year can have.
        found = date(int(year) if year else 2024, int(month), int(day))
    except ValueError:
        return ()
    return (f"date:{found:%Y-%m-%d}",) if year else (f"day:{found:%m-%d}",)


def _clock(match: re.Match[str], said: str) -> Iterator[Claim]:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = (match["half"] or match["bare_half"] or "").lower()
    if hour > 24 or minute > 59:
        return
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    yield Claim("date", said, (f"time:{hour}:{minute:02}",))


def _amount(match: re.Match[str], said: str, *, counts: bool) -> Iterator[Claim]:
    figure = match["figure"]
    decimal_comma = re.search(r",\d{1,2}$", figure) is not None
    plain = figure.replace(".", "").replace(",", ".") if decimal_comma else figure.replace(",", "")
    value = Decimal(plain)
    unit = (match["unit"] or "").strip(" -").lower()
    marked = bool(match["currency"] or unit)
    if not counts and not marked and value == value.to_integral_value() and value <= LARGEST_COUNT:
        return
    forms = [f"number:{_normal(value)}"]
    if not counts:
        # Only a claim is read in other units: a source says what it says.
        if match["currency"] or unit in ("dollar", "dollars", "euro", "euros", "usd", "eur", "gbp", "€", "£"):
            forms.append(f"number:{_normal(value * 100)}")
        if unit in ("%", "percent", "per cent"):
            forms.append(f"number:{_normal(value / 100)}")
    # A long bare number is an order or phone number as often as a quantity.
    forms.append(f"id:{match['figure']}")
    yield Claim("number", said, tuple(forms))


def _normal(value: Decimal) -> str:
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text.lstrip("0") or "0"


def _support(claim: Claim) -> Iterator[str]:
    """Give every form that a source's statement supports: a full date also its day, weekday and year."""
    for form in claim.forms:
        yield form
        label, _, said = form.partition(":")
        match label:
            case "date":
                year, month, day = (int(part) for part in said.split("-"))
                yield f"day:{said[5:]}"
                yield f"weekday:{_WEEKDAYS[date(year, month, day).weekday()]}"
                yield f"number:{year}"
            case "id":
                # `ORD-1042` supports "order 1042", and `RF-00005` does not support "5 days".
                yield from (f"id:{run}" for run in re.findall(r"\d{3,40}", said))
            case _:
                pass
