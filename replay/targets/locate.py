"""Finds what a run's words name: `module:attribute`, a manifest, `git:REV`, or `.`, each as a target with its place.

The rules:

1. Nothing of the agent's runs here: files are taken out of git, packages are installed, and that is all.
2. `git:REV` and `.` run in the environment of their own lock; where they have none, and for `module:attribute`, it is
   the one that this command runs in, and that is said.
3. What a run was begun with is found again by commit and not by branch. What is gone is said, with what is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from replay.canonical import digest_of
from replay.errors import RunError, TargetError
from replay.targets.environments import Say, environment, interpreter
from replay.targets.git import Repository
from replay.targets.locks import find_lock
from replay.targets.manifest import Manifest, read_manifest
from replay.targets.planned import Code, Packages, Place, PlannedTarget
from replay.targets.trees import code_of_tree, tree_of

GIT = "git:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user named for one side of a run."""

    spec: str
    """`module:attribute`, a manifest's path, `git:REV`, or `.`."""
    adapter: bool = False
    """The spec is `module:attribute` of an adapter."""
    entry: str = ""
    """`module:attribute` of the agent, where the spec names none."""
    entry_adapter: bool = False


class Located(NamedTuple):
    """A target with its place, and what is to be said of it."""

    target: PlannedTarget
    notes: tuple[str, ...]


def locate(
    wanted: Wanted, directory: str, *, allow_builds: bool = False, say: Say | None = None, pin: str = ""
) -> Located:
    """Find a target, take its files out and make its environment.

    Args:
        wanted: what the user named.
        directory: where the run is started: a directory of the repository, or that of the modules.
        allow_builds: packages may be built, which runs their code outside of the sandbox.
        say: told what takes its time.
        pin: the commit that the revision meant before, to be taken instead of what it means at present.

    Raises:
        TargetError: a revision, manifest, lock or Python is not there, or an environment cannot be made.
    """
    spec = wanted.spec
    if spec.startswith(GIT) or spec == ".":
        manifest = Manifest(commit="" if spec == "." else spec.removeprefix(GIT))
        return _from_tree(manifest, wanted, Path(directory), _Making(allow_builds, say, pin))
    if is_manifest(spec, directory):
        path = Path(directory) / spec
        manifest = read_manifest(path)
        return _from_manifest(manifest, wanted, path, Path(directory), _Making(allow_builds, say, pin))
    return Located(PlannedTarget(spec, wanted.adapter, "", "", place=Place(directory, (directory,))), ())


def relocate(
    before: PlannedTarget, directory: str, *, allow_builds: bool = False, say: Say | None = None
) -> Located:
    """Find again what a run was begun with.

    Raises:
        TargetError: as of `locate`.
        RunError: what it was begun with is gone, or another thing has its name.
    """
    wanted = Wanted(before.spec or before.path, before.adapter, before.path, before.adapter)
    kept = "What was done is kept, and `auditlog replay show` still shows it; start a new run."
    if before.manifest_digest:
        path = Path(directory) / before.spec
        if not path.is_file():
            raise RunError(f"The manifest {before.spec} is gone. {kept}")
        if read_manifest(path).digest != before.manifest_digest:
            raise RunError(f"The manifest {before.spec} is another one than the run was begun with. {kept}")
    pin = before.code.commit if before.code is not None and before.code.revision else ""
    try:
        return locate(wanted, directory, allow_builds=allow_builds, say=say, pin=pin)
    except TargetError:
        if before.code is None or not pin or _has(pin, directory):
            raise
        msg = f"Commit {pin[:8]} ({before.code.revision}) is no longer in the repository {before.code.repository}. {kept}"
        raise RunError(msg) from None


def is_manifest(spec: str, directory: str) -> bool:
    """Whether a word names a manifest: a file, or what ends as one."""
    return spec.endswith(".toml") or (":" not in spec and (Path(directory) / spec).is_file())


class _Making(NamedTuple):
    allow_builds: bool
    say: Callable[[str], None] | None
    pin: str = ""
    """The commit that a revision meant when the run was begun."""


def _from_manifest(
    manifest: Manifest, wanted: Wanted, path: Path, directory: Path, making: _Making
) -> Located:
    home = (path.parent / manifest.repository) if manifest.repository else directory
    if manifest.commit or manifest.repository or manifest.lock or manifest.python:
        named = replace(manifest, commit="") if manifest.commit == "." else manifest
        found = _from_tree(named, wanted, home, making)
    else:
        entry, adapter = _entry(manifest, wanted)
        place = Place(str(directory), (str(directory),))
        found = Located(PlannedTarget(entry, adapter, "", "", place=place), ())
    target = replace(
        found.target,
        spec=wanted.spec,
        manifest_digest=manifest.digest,
        overrides=manifest.overrides,
        env=manifest.env,
        variables=manifest.variables,
    )
    return Located(target, found.notes)


def _from_tree(manifest: Manifest, wanted: Wanted, directory: Path, making: _Making) -> Located:
    entry, adapter = _entry(manifest, wanted)
    repository = Repository(directory)
    commit = repository.commit((making.pin if manifest.commit else "") or manifest.commit or "HEAD")
    notes: tuple[str, ...] = ()
    if manifest.commit:
        named = f"{GIT}{manifest.commit}"
        top, notes = tree_of(repository, commit)
        code = Code(repository.top.name, commit.commit, commit.subject, manifest.commit, repository.below)
    else:
        named = "the working tree"
        top = repository.top
        code = code_of_tree(repository, commit, ".")
        if code.changed:
            names = ", ".join(code.changed_names[:3])
            more = " …" if code.changed > 3 else ""
            differ = "1 file differs" if code.changed == 1 else f"{code.changed} files differ"
            notes = (
                f"The working tree is not as committed: {differ} from {commit.commit[:8]} ({names}{more}).",
            )
    cwd = top / repository.below
    if not cwd.is_dir():
        raise TargetError(f"{named} has no directory {repository.below}.")
    paths = tuple(str(path) for path in (cwd, cwd / "src", top, top / "src") if path.is_dir())
    place = Place(str(cwd), tuple(dict.fromkeys(paths)), str(top))
    target = PlannedTarget(entry, adapter, "", "", spec=wanted.spec, code=code, place=place)
    lock = find_lock(top, repository.below, manifest.lock)
    if lock is None:
        if manifest.python:
            raise TargetError(
                f"{named} has no lock to make an environment of for Python {manifest.python}. Name one."
            )
        note = f"No lock and no pyproject.toml is in {named}, so it runs with the packages of this command."
        return Located(target, (*notes, note))
    python = interpreter(manifest.python)
    _refuse_other(lock.requires_python, python.version, named)
    made = environment(lock, python, top, named, allow_builds=making.allow_builds, say=making.say)
    pinned = dict(made.installed).get("auditlog-replay")
    if pinned is not None and pinned != _version():
        notes = (
            *notes,
            f"{named} pins auditlog-replay {pinned}; it is replayed with {_version()}, whose locks hold.",
        )
    place = replace(place, python=made.python, site=made.site, lent=made.lent)
    packages = Packages(python.text, lock.name, lock.digest, len(made.installed))
    return Located(replace(target, packages=packages, place=place), (*notes, *lock.notes))


def _entry(manifest: Manifest, wanted: Wanted) -> tuple[str, bool]:
    if manifest.agent or manifest.adapter:
        return manifest.adapter or manifest.agent, bool(manifest.adapter)
    if not wanted.entry:
        raise TargetError(
            f"{wanted.spec} names no agent. Name it with --agent module:attribute, such as --agent bot:answer."
        )
    return wanted.entry, wanted.entry_adapter


def _refuse_other(requires: str, version: tuple[int, int, int], named: str) -> None:
    for operator, least in _bounds(requires):
        too_old = operator in (">=", "~=", ">") and version[: len(least)] < least
        too_new = operator == "<" and version[: len(least)] >= least
        if too_old or too_new:
            have = ".".join(map(str, version))
            msg = (
                f"{named} needs Python {requires}, and this is {have}. Name another in a manifest: "
                f'python = "{".".join(map(str, least))}".'
            )
            raise TargetError(msg)


def _bounds(requires: str) -> list[tuple[str, tuple[int, ...]]]:
    found = []
    for part in requires.split(","):
        text = part.strip()
        operator = text.rstrip("0123456789.* ")
        numbers = text[len(operator) :].strip().split(".")
        if operator and all(number.isdigit() for number in numbers):
            found.append((operator.strip(), tuple(map(int, numbers))))
    return found


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("auditlog-replay")
    except PackageNotFoundError:
        return "its own version"


def _has(commit: str, directory: str) -> bool:
    try:
        Repository(directory).commit(commit)
    except TargetError:
        return False
    return True


def what_changed(old: PlannedTarget, new: PlannedTarget) -> str:
    """Say which part of a target is another one than it was."""
    parts = {
        "its commit": (old.code and (old.code.commit, old.code.below))
        != (new.code and (new.code.commit, new.code.below)),
        "its files": old.sources != new.sources
        or (old.code and old.code.changed_digest) != (new.code and new.code.changed_digest),
        "its installed packages": old.packages.digest != new.packages.digest,
        "its Python": old.packages.python != new.packages.python,
        "its overrides or variables": (old.overrides, old.env, old.variables)
        != (new.overrides, new.env, new.variables),
    }
    changed = [name for name, differs in parts.items() if differs]
    return f"{old.label} changed since it began ({', '.join(changed) or 'its definition'})"


def target_digest(target: PlannedTarget, seen: str) -> str:
    """Give what a target is, as one SHA-256: what the worker saw of it, and everything that was named for it.

    Args:
        target: with its sources and packages filled in.
        seen: the digest that its worker gave.
    """
    fields = target.recorded()
    for name in ("digest", "spec", "name", "version"):
        del fields[name]
    code = target.code
    # The same files are the same code, whatever they were called and wherever they lay.
    fields["code"] = None if code is None else [code.commit, code.below, code.changed_digest]
    return digest_of({**fields, "seen": seen, "host": os.name})
