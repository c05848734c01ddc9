"""A target as a run plans it: what was named, what it turned out to be, and where it is on this machine.

The rules:

1. Everything but the place is written into the run's record, so that both sides of a run can be told for ever.
2. Two targets are one when all but the place is the same.
3. What a record does not hold, because an older version wrote it, is what that version did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from auditlog.overrides import Overrides, PromptOverride, ToolOverride
from auditlog.values import Json

NOTHING = Overrides()

Roots = tuple[tuple[str, bool, tuple[str, ...]], ...]
"""Directories of files that are run: whether all files in them count, and which were loaded."""


@dataclass(frozen=True, slots=True)
class Code:
    """Where the code is from."""

    repository: str
    """The name of its directory."""
    commit: str
    """The full id; of a working tree, of the commit below it."""
    subject: str = ""
    revision: str = ""
    """As it was named, such as `main`; empty for a working tree."""
    below: str = ""
    """The directory inside the repository; empty at its top."""
    changed: int = 0
    """How many files of a working tree are not as committed."""
    changed_digest: str = ""
    changed_names: tuple[str, ...] = ()
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Packages:
    """The environment that the code runs in."""

    python: str = ""
    """Such as `3.11.7`."""
    lock: str = ""
    """The file that the packages were read from; empty where they are those of the command itself."""
    lock_digest: str = ""
    installed: int = 0
    digest: str = ""
    """SHA-256, hex, of the names and versions of what is installed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is on this machine."""

    cwd: str
    paths: tuple[str, ...]
    """Directories to import from."""
    within: str = ""
    """The directory of all its files, where it has files of its own: a commit's or a working tree's."""
    python: str = ""
    """Its environment's interpreter; empty for this command's own."""
    site: str = ""
    """The directory of its environment's packages."""
    lent: str = ""
    """The directory that it takes from what the worker itself needs and its environment lacks."""
    roots: Roots = ()
    """Where its files are, as its worker found them."""


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """A target, and what a worker found it to be."""

    path: str
    """`module:attribute`."""
    adapter: bool
    name: str
    digest: str
    """SHA-256, hex, of everything below."""
    version: str | None = None
    spec: str = ""
    """As it was named: `git:main`, `.`, a manifest's path; empty for `module:attribute`."""
    manifest_digest: str = ""
    code: Code | None = None
    packages: Packages = Packages()
    sources: str = ""
    """SHA-256, hex, of the files that are run, as the worker saw them."""
    overrides: Overrides = NOTHING
    env: tuple[str, ...] = ()
    """Names of variables that its manifest asks for; a run lets through what whoever starts it names."""
    variables: tuple[tuple[str, str], ...] = ()
    """Variables that it gets with these values; no secrets."""
    place: Place | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """Name it in a few words, for a list."""
        if self.code is None:
            return f"{self.spec} {self.path}" if self.spec else self.path
        commit = self.code.commit[:8]
        if not self.code.revision:
            named = f"{self.spec or '.'} ({commit}{f' + {self.code.changed} changed' if self.code.changed else ''})"
        else:
            is_id = self.code.commit.startswith(self.code.revision) and not self.manifest_digest
            named = f"git:{commit}" if is_id else f"{self.spec} ({commit})"
        return f"{named} {self.path}"

    @property
    def pinned_spec(self) -> str:
        """Name the same again, whatever a branch means by then."""
        if self.code is not None and self.code.revision and not self.manifest_digest:
            return f"git:{self.code.commit}"
        return self.spec or self.path

    def recorded(self) -> dict[str, Json]:
        """Give what the run's record keeps of it."""
        fields = asdict(replace(self, place=None))
        del fields["place"]
        return fields


def target_from_json(fields: Mapping[str, Any]) -> PlannedTarget:
    """Read back what `PlannedTarget.recorded` gave."""
    known = {
        name: value for name, value in fields.items() if name in PlannedTarget.__slots__ and name != "place"
    }
    if known.get("code") is not None:
        code: dict[str, Any] = {**known["code"]}
        code["changed_names"] = tuple(code.get("changed_names", ()))
        known["code"] = Code(**code)
    known["packages"] = Packages(**known.get("packages") or {})
    known["overrides"] = overrides_from_json(known.get("overrides") or {})
    known["env"] = tuple(known.get("env") or ())
    known["variables"] = tuple((name, value) for name, value in known.get("variables") or ())
    return PlannedTarget(**known)


def overrides_from_json(fields: Mapping[str, Any]) -> Overrides:
    """Read back what `asdict` made of overrides."""
    return Overrides(
        models=tuple((old, new) for old, new in fields.get("models") or ()),
        prompts=tuple(PromptOverride(**prompt) for prompt in fields.get("prompts") or ()),
        tools=tuple(ToolOverride(**tool) for tool in fields.get("tools") or ()),
    )
