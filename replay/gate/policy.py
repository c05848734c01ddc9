"""What has to hold before a candidate is released, as a file: owner, metrics, margins, evidence, waivers.

The rules:

1. A policy is TOML, and its shape is `schemas/policy.schema.json`. Every error names line, column and the nearest key.
2. A policy of a newer version is refused, not guessed at.
3. A policy may be stricter than its level; where it is looser, a waiver of that check says so, with owner, reason and expiry.
4. A waiver that has expired waives nothing, and is said.
5. The policy's digest is that of its bytes: what was asked is kept with what was answered.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from auditlog import resources
from replay.errors import PolicyError
from replay.gate.levels import Level, levels
from replay.gate.policy_shape import Fault, as_date, faults, unknown
from replay.gate.toml_places import place_of

VERSION = 1

Role = Literal["hard", "primary", "secondary"]

ROLES: tuple[Role, ...] = ("hard", "primary", "secondary")

HARD = ("new_write", "changed_money")
PRIMARY = ("outcome", "write_set", "escalation")
SECONDARY = ("trajectory",)


@dataclass(frozen=True, slots=True)
class ScorerUse:
    """A scorer, with its options, under the name that the metrics call it."""

    use: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvidenceQuery:
    """What the store must show."""

    name: str
    query: str
    at_least: int = 1
    shows: str | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """A person's word for what a check did not show."""

    check: str
    owner: str
    reason: str
    expires: date
    run: str | None = None

    def covers(self, check_id: str, run_id: str, today: date) -> bool:
        """Whether it speaks of this check of this run, today."""
        named = check_id == self.check or check_id.startswith(f"{self.check}.")
        return named and self.expires >= today and self.run in (None, run_id)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file, as values; what it leaves out is the level's."""

    level: Level
    digest: str
    """SHA-256 of the file, hex."""
    path: str = ""
    owner: str | None = None
    alpha: float = 0.05
    q: float = 0.1
    margin: float | None = None
    """None only reports."""
    margins: Mapping[str, float] = field(default_factory=dict)
    hard_bound: float | None = None
    grounded: float | Literal["report"] | None = None
    completeness: float = 0.0
    most_diverged: float = 0.2
    most_unfaithful: float = 0.2
    most_unscored: float = 0.05
    hard: tuple[str, ...] = HARD
    primary: tuple[str, ...] = PRIMARY
    secondary: tuple[str, ...] = SECONDARY
    scorers: tuple[ScorerUse, ...] = ()
    named_slices: tuple[str, ...] = ()
    watched_tags: tuple[str, ...] = ()
    evidence: tuple[EvidenceQuery, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    rehearsals: Mapping[str, date] = field(default_factory=dict)
    adversarial: tuple[str, ...] = ()
    coverage: float = 1.0

    def margin_of(self, metric: str) -> float | None:
        """Give by how much a metric may fall; None only reports."""
        return self.margins.get(metric, self.margin)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that it names."""
        return tuple(dict.fromkeys((*self.hard, *self.primary, *self.secondary)))


def load_policy(path: str | Path, known_metrics: Mapping[str, Collection[Role]], *, today: date) -> Policy:
    """Read a policy file.

    Args:
        path: the file.
        known_metrics: every metric's name, and the roles that it can have.
        today: on which waivers are looked at.

    Raises:
        PolicyError: it cannot be read, or says what has no meaning; the message names each place.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode()
    except OSError as error:
        msg = f"The policy {path} cannot be read: {error.strerror}. `auditlog gate --init` writes one."
        raise PolicyError(msg) from None
    except UnicodeDecodeError:
        raise PolicyError(f"The policy {path} is not UTF-8. Write it in UTF-8.") from None
    return read_policy(text, known_metrics, today=today, path=str(path))


def read_policy(
    text: str, known_metrics: Mapping[str, Collection[Role]], *, today: date, path: str = "policy"
) -> Policy:
    """Read a policy's text; see `load_policy`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{path} is no TOML: {error}.") from None
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        where = place_of(text, ("version",))
        msg = (
            f"{path}:{where.line}:{where.column}: this policy is of version {version}, and this program reads "
            f"{VERSION}. Upgrade auditlog-replay, or write the policy for version {VERSION}."
        )
        raise PolicyError(msg)
    found = list(faults(document, resources.schema("policy.schema")))
    if not found:
        found = _meaningless(document, known_metrics, today)
    if found:
        said = [_placed(path, text, fault) for fault in found[:8]]
        more = f"\n… and {len(found) - 8} more." if len(found) > 8 else ""
        raise PolicyError("\n".join(said) + more)
    return _policy(document, hashlib.sha256(text.encode()).hexdigest(), path)


def _placed(path: str, text: str, fault: Fault) -> str:
    where = place_of(text, fault.path)
    return f"{path}:{where.line}:{where.column}: {fault.what}"


def _policy(document: Mapping[str, Any], digest: str, path: str) -> Policy:
    level = levels()[document["level"]]
    metrics = document.get("metrics", {})
    slices, attacks = document.get("slices", {}), document.get("adversarial", {})
    return Policy(
        level=level,
        digest=digest,
        path=path,
        owner=document.get("owner"),
        alpha=document.get("alpha", 0.05),
        q=document.get("q", 0.1),
        margin=document.get("margin", level.margin),
        margins=dict(document.get("margins", {})),
        hard_bound=document.get("hard_bound", level.hard_bound),
        grounded=document.get("grounded", level.grounded),
        completeness=document.get("completeness", level.completeness),
        most_diverged=document.get("most_diverged", 0.2),
        most_unfaithful=document.get("most_unfaithful", 0.2),
        most_unscored=document.get("most_unscored", 0.05),
        hard=tuple(metrics.get("hard", HARD)),
        primary=tuple(metrics.get("primary", PRIMARY)),
        secondary=tuple(metrics.get("secondary", SECONDARY)),
        scorers=tuple(
            ScorerUse(entry["use"], entry.get("name", entry["use"]), entry.get("options", {}))
            for entry in document.get("scorer", ())
        ),
        named_slices=tuple(slices.get("named", ())),
        watched_tags=tuple(slices.get("watch", ())),
        evidence=tuple(EvidenceQuery(**entry) for entry in document.get("evidence", ())),
        waivers=tuple(
            Waiver(
                entry["check"], entry["owner"], entry["reason"], as_date(entry["expires"]), entry.get("run")
            )
            for entry in document.get("waiver", ())
        ),
        rehearsals={name: as_date(when) for name, when in document.get("rehearsals", {}).items()},
        adversarial=tuple(attacks.get("lists", level.adversarial)),
        coverage=attacks.get("coverage", 1.0),
    )


def _meaningless(
    document: Mapping[str, Any], known: Mapping[str, Collection[Role]], today: date
) -> list[Fault]:
    """Find what is well-formed, and means nothing."""
    found: list[Fault] = []
    metrics: Mapping[str, list[str]] = document.get("metrics", {})
    own = [entry.get("name", entry["use"]) for entry in document.get("scorer", ())]
    found += [
        Fault(("scorer", index, "name"), f"'{name}' is the name of a metric already")
        for index, name in enumerate(own)
        if name in own[:index] or (name in known and name != document["scorer"][index]["use"])
    ]
    known = {**known, **dict.fromkeys(own, ROLES)}
    seen: dict[str, str] = {}
    for role, names in metrics.items():
        for index, name in enumerate(names):
            where = ("metrics", role, index)
            if name not in known and ":" not in name:
                found.append(Fault(where, unknown("metric", name, known)))
            elif role not in known.get(name, ROLES):
                found.append(
                    Fault(where, f"metric '{name}' cannot be {role}; it is {' or '.join(known[name])}")
                )
            elif name in seen:
                found.append(Fault(where, f"metric '{name}' is {seen[name]} already"))
            seen.setdefault(name, role)
    asked = {*metrics.get("primary", PRIMARY), *metrics.get("secondary", SECONDARY)}
    found += [
        Fault(("margins", name), unknown("metric", name, sorted(asked)))
        for name in document.get("margins", {})
        if name not in asked
    ]
    names = [entry["name"] for entry in document.get("evidence", ())]
    found += [
        Fault(("evidence", index, "name"), f"evidence '{name}' is there twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    return [*found, *_looser(document, today)]


def _looser(document: Mapping[str, Any], today: date) -> list[Fault]:
    """Find where a policy asks for less than its level without a waiver (rule 3)."""
    level = levels()[document["level"]]
    waived = {entry["check"] for entry in document.get("waiver", ()) if as_date(entry["expires"]) >= today}
    found: list[Fault] = []

    def looser(path: tuple[str | int, ...], check: str, what: str, asked: object) -> None:
        if check not in waived:
            found.append(
                Fault(
                    path,
                    f"{what} is looser than level {level.number} ({level.name}) asks for: {asked}. "
                    f'Ask for as much, or write a [[waiver]] with check = "{check}"',
                )
            )

    margin = level.margin
    if margin is not None:
        if document.get("margin", 0) > margin:
            looser(("margin",), "margin", f"margin {document['margin']}", f"at most {margin}")
        for name, value in document.get("margins", {}).items():
            if value > margin and name in document.get("metrics", {}).get("primary", PRIMARY):
                looser(("margins", name), "margin", f"margin {value} of '{name}'", f"at most {margin}")
    if level.hard_bound is not None and document.get("hard_bound", 0) > level.hard_bound:
        looser(
            ("hard_bound",),
            "hard_bound",
            f"hard_bound {document['hard_bound']}",
            f"at most {level.hard_bound}",
        )
    if isinstance(level.grounded, float) and document.get("grounded", 1) < level.grounded:
        looser(("grounded",), "grounded", f"grounded {document['grounded']}", f"at least {level.grounded}")
    if document.get("completeness", 1) < level.completeness:
        looser(
            ("completeness",),
            "completeness",
            f"completeness {document['completeness']}",
            f"at least {level.completeness}",
        )
    if document.get("alpha", 0) > 0.05:
        looser(("alpha",), "alpha", f"alpha {document['alpha']}", "at most 0.05")
    lists = document.get("adversarial", {}).get("lists")
    if lists is not None and not set(level.adversarial) <= set(lists):
        looser(("adversarial", "lists"), "adversarial", "this list of lists", ", ".join(level.adversarial))
    if document.get("adversarial", {}).get("coverage", 1) < 1 and level.adversarial:
        looser(("adversarial", "coverage"), "adversarial", "coverage below 1", "every entry tried")
    for role, least in (("hard", HARD), ("primary", PRIMARY)):
        asked = document.get("metrics", {}).get(role)
        if asked is not None and not asked and level.number > 1:
            looser(
                ("metrics", role), f"metrics.{role}", f"no {role} metric", f"one at least, such as {least[0]}"
            )
    return found
