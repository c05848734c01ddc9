"""What has to hold before a candidate is released, as a file: owner, metrics, margins, evidence, waivers.

The rules:

1. A policy is TOML, and its shape is `schemas/policy.schema.json`. Every error names line, column and the nearest key.
2. A policy of a newer version is refused, not guessed at.
3. A policy may be stricter than its level; where it is looser, a waiver says so, with owner, reason and expiry: see
   `policy_levels` and `waivers`. A waiver that has expired waives nothing, and is said.
4. A scorer's options are looked at when the policy is read, where the scorer is one of ours.
5. The policy's digest is that of its bytes, and its text goes into the record: what was asked is kept with what was answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from auditlog import resources
from auditlog.schema_faults import Fault, as_date, faults
from auditlog.toml_file import parse_toml
from auditlog.wording import unknown
from replay.errors import PolicyError, ScorerError
from replay.gate.levels import Level, levels
from replay.gate.policy_levels import looser
from replay.gate.waivers import Waiver, waiver_faults
from replay.risks.taxonomy import SURFACES
from replay.scorers.builtin import BUILT_IN, OF_SETS
from replay.scorers.specs import imported, options_of

VERSION = 1

Role = Literal["hard", "primary", "secondary"]

ROLES: tuple[Role, ...] = ("hard", "primary", "secondary")

HARD = ("new_write", "changed_money")
PRIMARY = ("outcome", "answers", "write_set", "escalation")
SECONDARY = ("trajectory",)
"""The metrics of a policy that names none, besides those that its level asks for."""


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
    within_days: int | None = None
    shows: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file, as values; what it leaves out is the level's."""

    level: Level
    digest: str
    """SHA-256 of the file, hex."""
    path: str = ""
    text: str = ""
    """The file."""
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
    surfaces: tuple[str, ...] = SURFACES
    """The ways in by which attacks are asked for."""
    languages: tuple[str, ...] = ("en",)

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
    file = parse_toml(text, path, PolicyError)
    document = file.document
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        msg = (
            f"{file.at(('version',))}: this policy is of version {version}, and this program reads "
            f"{VERSION}. Upgrade auditlog-replay, or write the policy for version {VERSION}."
        )
        raise PolicyError(msg)
    found = list(faults(document, resources.schema("policy.schema")))
    if not found:
        found = list(_meaningless(document, known_metrics, today)) or list(
            looser(document, _metrics(document), today)
        )
    if found:
        said = [f"{file.at(fault.path)}: {fault.what}" for fault in found[:8]]
        more = f"\n… and {len(found) - 8} more." if len(found) > 8 else ""
        raise PolicyError("\n".join(said) + more)
    return _policy(document, text, path)


def _policy(document: Mapping[str, Any], text: str, path: str) -> Policy:
    level = levels()[document["level"]]
    metrics = _metrics(document)
    slices, attacks = document.get("slices", {}), document.get("adversarial", {})
    return Policy(
        level=level,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        path=path,
        text=text,
        owner=document.get("owner"),
        alpha=document.get("alpha", 0.05),
        q=document.get("q", 0.1),
        margin=document.get("margin", level.margin),
        margins=dict(document.get("margins", {})),
        hard_bound=document.get("hard_bound", level.hard_bound),
        grounded=document.get("grounded", level.grounded),
        completeness=document.get("completeness", level.completeness),
        most_diverged=document.get("most_diverged", level.most_diverged),
        most_unfaithful=document.get("most_unfaithful", level.most_unfaithful),
        most_unscored=document.get("most_unscored", level.most_unscored),
        hard=metrics["hard"],
        primary=metrics["primary"],
        secondary=metrics["secondary"],
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
        surfaces=tuple(attacks.get("surfaces", SURFACES)),
        languages=tuple(attacks.get("languages", ("en",))),
    )


def _metrics(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Give the metrics that a policy judges by, by their role; those of its level where it names none."""
    level = levels()[document["level"]]
    usual = {
        "hard": dict.fromkeys((*HARD, *level.hard)),
        "primary": dict.fromkeys((*PRIMARY, *level.primary)),
        "secondary": SECONDARY,
    }
    return {role: tuple(document.get("metrics", {}).get(role, names)) for role, names in usual.items()}


def _meaningless(
    document: Mapping[str, Any], known: Mapping[str, Collection[Role]], today: date
) -> Iterator[Fault]:
    """Find what is well-formed, and means nothing."""
    metrics = _metrics(document)
    own = [entry.get("name", entry["use"]) for entry in document.get("scorer", ())]
    yield from _scorer_faults(document, own, known)
    known = {**known, **dict.fromkeys(own, ROLES)}
    uses = zip(own, (entry["use"] for entry in document.get("scorer", ())), strict=True)
    arms: list[str] = [*OF_SETS, *(name for name, used in uses if used in OF_SETS)]
    yield from _role_faults(document.get("metrics", {}), {**known, **dict.fromkeys(arms, ())})
    asked = {*metrics["primary"], *metrics["secondary"]}
    for name in document.get("margins", {}):
        if name not in asked:
            yield Fault(("margins", name), unknown("metric", name, sorted(asked)))
    names = [entry["name"] for entry in document.get("evidence", ())]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(("evidence", index, "name"), f"evidence '{name}' is there twice")
    slices = document.get("slices", {}).get("named", [])
    for index, name in enumerate(slices):
        if name in slices[:index]:
            yield Fault(("slices", "named", index), f"slice '{name}' is there twice")
    lists = document.get("adversarial", {}).get("lists", levels()[document["level"]].adversarial)
    yield from waiver_faults(document, metrics, lists, today)


def _scorer_faults(
    document: Mapping[str, Any], own: Sequence[str], known: Mapping[str, Collection[Role]]
) -> Iterator[Fault]:
    for index, (name, entry) in enumerate(zip(own, document.get("scorer", ()), strict=True)):
        used = entry["use"]
        if name in own[:index] or (name in known and name != used):
            yield Fault(("scorer", index, "name"), f"'{name}' is the name of a metric already")
        elif used in BUILT_IN:
            try:
                scorer = imported(used, BUILT_IN[used].path)
            except ScorerError:
                # What it needs is not installed: scoring says so.
                continue
            given, options = entry.get("options", {}), options_of(scorer) or {}
            for option in given:
                if option not in options:
                    said = unknown(f"option of {used}", option, list(options))
                    yield Fault(("scorer", index, "options"), said)
            for option, parameter in options.items():
                if parameter.default is parameter.empty and option not in given:
                    yield Fault(("scorer", index), f"option '{option}' of {used} is missing")
        elif ":" not in used and used not in known:
            yield Fault(
                ("scorer", index, "use"), unknown("scorer", used, list(dict.fromkeys((*BUILT_IN, *known))))
            )


def _role_faults(
    metrics: Mapping[str, Sequence[str]], known: Mapping[str, Collection[Role]]
) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for role, names in metrics.items():
        for index, name in enumerate(names):
            where = ("metrics", role, index)
            if name not in known and ":" not in name:
                yield Fault(where, unknown("metric", name, known))
            elif not known.get(name, ROLES):
                yield Fault(
                    where,
                    f"'{name}' judges a whole arm, and the gate judges by cases; `auditlog replay score` shows it",
                )
            elif role not in known.get(name, ROLES):
                yield Fault(where, f"metric '{name}' cannot be {role}; it is {' or '.join(known[name])}")
            elif name in seen:
                yield Fault(where, f"metric '{name}' is {seen[name]} already")
            seen.setdefault(name, role)
