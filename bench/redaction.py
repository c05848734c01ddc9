"""What redaction finds, and what it costs: `python bench/redaction.py`.

1. Recall and precision per kind on τ-bench and τ²-bench, whose databases hold every invented name, address and number:
   each occurrence of a value in a message, an argument or a tool's answer is looked for in the JSON that a recorder
   would write. An occurrence counts as found when every byte of it is replaced, under whatever kind; a find is right when it
   touches an occurrence of what it says it is. Where the extra `names` is installed, its recogniser is measured as well.
2. Microseconds for 3.2 KB, clean and dirty, beside the same patterns in the standard library's `re`.

The data sets are looked for in AUDITLOG_SHARED_DATA, or in `shared/data` beside the repository; without them the first
table is left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# This script is called what a package is called, and would stand in its way.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

import orjson  # noqa: E402

from auditlog.redaction import Redactor, known_kinds  # noqa: E402

DATA = Path(os.environ.get("AUDITLOG_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
KEY = bytes(32)
MONTHS = "January February March April May June July August September October November December".split()
ORDINALS = ("", "st", "nd", "rd", "th")

TRUE_AS = {
    "email": {"email"},
    "name": {"name in a field", "name in prose", "user_id", "email"},
    "address": {"street", "unit", "city", "zip"},
    "postcode": {"zip"},
    "date_of_birth": {"date of birth"},
    "card_suffix": {"card suffix"},
}
"""What a find of a kind may be; of every other kind the data holds nothing, and a find is wrong."""


LEXICON = {"name": "name", "address": "address", "postcode": "address"}
"""Where a kind's words are, of people that a conversation does not name by an id."""


class Truth(NamedTuple):
    """What a conversation's people are, by what it is called in the databases."""

    values: dict[str, set[str]]


def main() -> None:
    """Print the tables."""
    if DATA.is_dir():
        quality(with_names=importlib.util.find_spec("spacy") is not None)
    else:
        print(
            f"(No data sets at {DATA}: set AUDITLOG_SHARED_DATA; the table of recall and precision is left out.)\n"
        )
    speed()


def quality(*, with_names: bool) -> None:
    """Print recall and precision per kind."""
    redactors = {
        "default": Redactor(key=KEY),
        "default + fields": Redactor(["default", "name", "address", "postcode"], key=KEY),
    }
    if with_names:
        from auditlog.redaction.names import Names

        kinds = ["default", "name", "address", "postcode"]
        redactors["+ names"] = Redactor(kinds, recognisers=[Names()], key=KEY)
    lexicon = everyone()
    texts = list(messages())
    print(
        f"Recall and precision: {len(texts):,} texts of τ-bench and τ²-bench, {sum(len(t) for t, _ in texts) / 1e6:.1f} MB\n"
    )
    recall: dict[str, dict[str, list[int]]] = {name: defaultdict(lambda: [0, 0]) for name in redactors}
    precision: dict[str, dict[str, list[int]]] = {name: defaultdict(lambda: [0, 0]) for name in redactors}
    distinct: dict[str, set[bytes]] = defaultdict(set)
    took: dict[str, float] = defaultdict(float)
    for raw, truth in texts:
        there = list(occurrences(raw, truth))
        for kind, start, end in there:
            distinct[kind].add(raw[start:end].lower())
        for name, redactor in redactors.items():
            began = time.process_time()
            found = redactor.find(raw)
            took[name] += time.process_time() - began
            for kind, start, end in there:
                counts = recall[name][kind]
                counts[0] += covered(start, end, found)
                counts[1] += 1
            for start, end, kind, value in found:
                right = any(k in TRUE_AS.get(kind, ()) and s < end and start < e for k, s, e in there)
                counts = precision[name][kind]
                counts[0] += right or known(value.decode(), lexicon.get(LEXICON.get(kind, ""), set()))
                counts[1] += 1
    columns = "".join(f" | {name}" for name in redactors)
    print(f"| value | occurrences | distinct{columns} |\n|---|---|---{'|---' * len(redactors)}|")
    for kind in sorted(distinct, key=lambda one: -recall["default"][one][1]):
        figures = "".join(f" | {share(*counts[kind])}" for counts in recall.values())
        print(f"| {kind} | {recall['default'][kind][1]:,} | {len(distinct[kind]):,}{figures} |")
    print(
        f"\nPrecision, and how often each kind was found\n\n| kind{columns} |\n|---{'|---' * len(redactors)}|"
    )
    for kind in sorted({kind for counts in precision.values() for kind in counts}):
        figures = "".join(
            f" | {share(*counts[kind])} of {counts[kind][1]:,}" if kind in counts else " | –"
            for counts in precision.values()
        )
        print(f"| {kind}{figures} |")
    size = sum(len(raw) for raw, _ in texts)
    print(
        "\nCPU for 3.2 KB of it: "
        + ", ".join(f"{name} {took[name] / size * 3.2e9:,.0f} µs" for name in redactors)
        + "\n"
    )


def share(part: int, whole: int) -> str:
    """Give a share in percent, rounded so that only all is 100 %."""
    percent = 100 * part / whole if whole else 0
    return "100 %" if part == whole else f"{min(percent, 99.9):.1f} %"


def covered(start: int, end: int, found: Sequence[tuple[int, int, str, bytes]]) -> bool:
    """Say whether every byte of an occurrence is replaced."""
    at = start
    for first, last, _, _ in found:
        if first <= at < last:
            at = last
    return at >= end


def everyone() -> dict[str, set[str]]:
    """Give the words of all names and addresses in the databases, those of orders among them: agents look up others, too."""
    words: dict[str, set[str]] = {"name": set(), "address": set()}
    for user in users().values():
        for kind, value in facts(user):
            if kind in ("name", "first name", "last name"):
                words["name"].update(value.lower().split())
            elif kind in ("street", "unit", "city", "zip"):
                words["address"].update(value.lower().split())
    orders = json.loads((DATA / "tau2-bench/domains/retail/db.json").read_text())["orders"].values()
    for order in orders:
        address = order["address"]
        words["address"].update(
            f"{address['address1']} {address['address2']} {address['zip']}".lower().split()
        )
    return words


def known(value: str, words: set[str]) -> bool:
    """Say whether all words of a value are known."""
    said = re.findall(r"\w+", value.lower())
    return bool(said) and all(word in words for word in said)


_users: dict[str, Any] = {}


def users() -> dict[str, Any]:
    """Give the people of the databases by user id."""
    if not _users:
        airline = json.loads((DATA / "tau-bench/db/airline/users.json").read_text())
        retail = json.loads((DATA / "tau2-bench/domains/retail/db.json").read_text())["users"]
        _users.update({f"airline {name}": user for name, user in airline.items()})
        _users.update({f"retail {name}": user for name, user in retail.items()})
    return _users


def facts(user: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what a database says of one person."""
    for person in (user["name"], *user.get("saved_passengers", ())):
        yield from named(person)
    yield "email", user["email"]
    address = user["address"]
    yield from (("street", address["address1"]), ("unit", address["address2"]), ("city", address["city"]))
    yield "zip", address["zip"]
    for person in (user, *user.get("saved_passengers", ())):
        if "dob" in person:
            yield from (("date of birth", spelling) for spelling in dates(person["dob"]))
    for method in user["payment_methods"].values():
        if "last_four" in method:
            yield "card suffix", method["last_four"]


def named(person: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give a person's name in the ways that people say it."""
    first, last = person["first_name"], person["last_name"]
    yield from (("name", f"{first} {last}"), ("first name", first), ("last name", last))


def dates(day: str) -> Iterator[str]:
    """Give a date in the ways that people write it."""
    year, month, number = (int(piece) for piece in day.split("-"))
    yield day
    name = MONTHS[month - 1]
    for ordinal in ORDINALS:
        yield from (f"{name} {number}{ordinal}, {year}", f"{number}{ordinal} {name} {year}")
        yield f"{name} {number}{ordinal} {year}"
    yield from (f"{month:02}/{number:02}/{year}", f"{month}/{number}/{year}")


def messages() -> Iterator[tuple[bytes, Truth]]:
    """Give each message as JSON, with what is true of the people of its conversation."""
    reservations = json.loads((DATA / "tau-bench/db/airline/reservations.json").read_text())
    for conversation in json.loads((DATA / "tau-bench/trajectories/gpt-4o-airline.json").read_text()):
        yield from told("airline", [m for m in conversation["traj"] if m["role"] != "system"], reservations)
    for path in sorted((DATA / "tau2-bench/results").glob("*.json")):
        domain = path.name.partition(".")[0]
        for conversation in json.loads(path.read_text())["simulations"]:
            kept = [
                {k: m.get(k) for k in ("role", "content", "tool_calls")} for m in conversation["messages"]
            ]
            yield from told(domain, kept, reservations if domain == "airline" else {})


def told(
    domain: str, said: list[dict[str, Any]], reservations: dict[str, Any]
) -> Iterator[tuple[bytes, Truth]]:
    """Give the messages of one conversation with the facts of everybody that it names by an id."""
    raws = [orjson.dumps(message) for message in said]
    whole = b"".join(raws).decode()
    values: dict[str, set[str]] = defaultdict(set)
    for name, user in users().items():
        where, _, user_id = name.partition(" ")
        if where == domain and user_id in whole:
            values["user_id"].add(user_id)
            for kind, value in facts(user):
                values[kind].add(value)
    for reservation_id, reservation in reservations.items():
        if reservation_id in whole:
            for person in reservation["passengers"]:
                for kind, value in (
                    *named(person),
                    *(("date of birth", day) for day in dates(person["dob"])),
                ):
                    values[kind].add(value)
    truth = Truth(values)
    yield from ((raw, truth) for raw in raws)


def occurrences(raw: bytes, truth: Truth) -> Iterator[tuple[str, int, int]]:
    """Give where true values stand: the longest of those that share a place."""
    taken: list[tuple[int, int]] = []
    order = (
        "user_id",
        "email",
        "street",
        "unit",
        "name",
        "date of birth",
        "first name",
        "last name",
        "zip",
        "card suffix",
        "city",
    )
    for kind in order:
        spellings = sorted(truth.values.get(kind, ()), key=len, reverse=True)
        if not spellings:
            continue
        flags = re.IGNORECASE if kind in ("email", "street", "unit") else 0
        pattern = re.compile(
            rb"(?<![\w#.])(?:" + b"|".join(re.escape(v.encode()) for v in spellings) + rb")(?![\w])", flags
        )
        for match in pattern.finditer(raw):
            start, end = match.span()
            if any(s < end and start < e for s, e in taken):
                continue
            taken.append((start, end))
            in_field = kind.endswith("name") and _FIELD.search(raw, max(0, start - 40), start)
            named = "name in a field" if in_field else "name in prose"
            yield (named if kind.endswith("name") else kind), start, end


_FIELD = re.compile(rb'_name\\*": ?\\*"$')


def speed() -> None:
    """Print microseconds for 3.2 KB."""
    clean = (
        "You can send anything back within thirty days, unworn and in its box. Order A-1029 costs 19.99 on 2024-05-16. "
        * 30
    )[:3200]
    dirty = (
        clean[:1000] + " write to anna@example.com now, " + clean[1000:3100] + " card 4111 1111 1111 1111 "
    )
    redactor = Redactor(key=KEY)
    patterns = [p for kind in known_kinds().values() if kind.default for p in kind.patterns]
    plain = [
        re.compile(
            re.sub(
                r"\\p[LNM]", r"\\w", re.sub(r"\\x\{(\w+)\}", lambda m: f"\\u{int(m[1], 16):04x}", p.pattern)
            )
        )
        for p in patterns
    ]
    rows = [
        ("RE2, a set before the patterns (ours)", redactor.text),
        (
            "re, each pattern in turn",
            lambda text: [match for p in plain for match in p.finditer(text.decode())],
        ),
    ]
    print("CPU in µs for 3.2 KB of JSON text, median\n\n| | clean | dirty |\n|---|---|---|")
    for name, run in rows:
        figures = (median(run, orjson.dumps(text)) for text in (clean, dirty))
        print(f"| {name} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |")


def median(run: Callable[[bytes], object], text: bytes) -> float:
    """Give the median CPU time of a run, in microseconds."""
    run(text)
    times = []
    for _ in range(15):
        began = time.process_time()
        for _ in range(40):
            run(text)
        times.append((time.process_time() - began) / 40 * 1e6)
    return statistics.median(times)


if __name__ == "__main__":
    main()
