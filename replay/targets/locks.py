"""Reads what a tree says of its packages: requirements files, and the locks of uv, Poetry and PEP 751.

The rules:

1. A lock that is named is read; else the first of the known names, from the agent's directory up to the tree's top.
2. A requirements file is installed as it is. Of other locks the versions bind what `pyproject.toml` asks for, whatever
   installer is there. A `pyproject.toml` alone pins nothing, and that is said.
3. Packages come from the indexes that the user configured: what a file of a commit says of indexes is left out, and said.
4. The tree's own package is not installed: its code is run from the tree. What would have to be built (a path, a
   repository, a source archive) is refused, unless builds are allowed: building runs code of its own, outside of any sandbox.

Pure but for reading the files of the tree.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.errors import TargetError

KNOWN = (
    "requirements.lock",
    "uv.lock",
    "poetry.lock",
    "pylock.toml",
    "requirements.txt",
    "pyproject.toml",
)
"""In the order in which they are believed."""

_INDEX_OPTIONS = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-index",
    "--trusted-host",
)
_KEPT_OPTIONS = ("--require-hashes", "--pre", "-e", "--editable")
_HARMLESS = ("--require-hashes", "--pre")
_NAMED = re.compile(
    r"(?!\S*\.(?:zip|whl|tar|tgz|tbz|txz|tlz|gz|bz2|xz|lz|lzma)(?:\W|$))[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
    r"\s*(?:\[[\w., -]*\])?\s*\(?(?:(?:===|==|~=|!=|<=|>=|<|>)\s*[\w.*+!-]+\s*,?\s*)*\)?",
    re.ASCII | re.IGNORECASE,
)
"""A package of an index: its name, extras and versions, and neither an address nor a file."""
_WHEEL = re.compile(r"(?!/|.*\.\.)(?:\./)?[\w.+/-]+\.whl(?:\[[\w., -]*\])?", re.ASCII)
_OWN = re.compile(r"(-e|--editable)?[ =]*(file:)?\.(/)?(\[[^\]]*\])?")
_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Lock:
    """The packages that a tree asks for."""

    name: str
    """The file's path inside the tree."""
    digest: str
    """SHA-256, hex, of what is installed."""
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    """Requirements that have to be built."""
    notes: tuple[str, ...] = ()
    requires_python: str = ""


def find_lock(tree: Path, below: str = "", named: str = "") -> Lock | None:
    """Read the lock of a tree.

    Args:
        tree: the directory of its files.
        below: the agent's directory inside it.
        named: the lock's path, inside the agent's directory or the tree; by default one of the known names is looked for.

    Returns:
        None where nothing is named and nothing is found.

    Raises:
        TargetError: it is not there, or cannot be read.
    """
    homes = [tree / below, *(p for p in (tree / below).parents if p == tree or tree in p.parents)]
    for name in (named,) if named else KNOWN:
        for home in homes:
            path = home / name
            if path.is_file() and path.resolve().is_relative_to(tree.resolve()):
                found = _read(path, tree)
                if found is not None:
                    return found
    if named:
        there = sorted(p.name for home in homes for p in home.glob("*") if p.name in KNOWN)
        offered = f" There is {', '.join(there)}." if there else ""
        raise TargetError(f"There is no lock {named!r} in {tree.name}.{offered}")
    return None


def _read(path: Path, tree: Path) -> Lock | None:
    name = str(path.relative_to(tree))
    try:
        match path.name:
            case "uv.lock" | "poetry.lock":
                return _locked(path, name, _toml(path).get("package", []))
            case "pylock.toml":
                return _standard(name, _toml(path).get("packages", []))
            case "pyproject.toml":
                return _project(path, name)
            case _:
                return _file(path, name, tree)
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise TargetError(f"The lock {name} cannot be read: {error}.") from None


def _lock(
    name: str,
    requirements: list[str],
    constraints: list[str] | None = None,
    home: Path | None = None,
    **rest: Any,
) -> Lock:
    for line in (*requirements, *(constraints or ())):
        # An installer would put the user's variables in, and take a line of a list for an option.
        if "${" in line or "\n" in line or (line.startswith("-") and line.split(" ")[0] not in _KEPT_OPTIONS):
            raise TargetError(
                f"{name} asks for {line.strip()!r}, which is no requirement. Name another lock."
            )
    text = "\n".join([*requirements, "-c", *(constraints or ())])
    # What lies in the tree has no version that would tell one content from another.
    contents = [_content(home / path) for path in map(_path, requirements) if home is not None and path]
    digest = hashlib.sha256("\n".join([text, *contents]).encode()).hexdigest()
    return Lock(name, digest, tuple(requirements), tuple(constraints or ()), **rest)


def _locked(path: Path, name: str, packages: list[Mapping[str, Any]]) -> Lock:
    project = path.with_name("pyproject.toml")
    if not project.is_file():
        raise TargetError(f"{name} has no pyproject.toml beside it that says what of it is asked for.")
    asked, python = _asked(_toml(project), str(project.name))
    versions: dict[str, set[str]] = {}
    for package in packages:
        if "version" in package and not _is_local(package.get("source")):
            versions.setdefault(package["name"], set()).add(package["version"])
    constraints = [
        f"{project}=={next(iter(found))}" for project, found in sorted(versions.items()) if len(found) == 1
    ]
    several = sorted(project for project, found in versions.items() if len(found) > 1)
    notes = [f"{name} holds several versions of {', '.join(several)}: the installer chooses."] * bool(several)
    return _lock(
        name,
        asked,
        constraints,
        notes=tuple(notes),
        requires_python=python,
        builds=_builds([*asked, *constraints]),
    )


def _is_local(source: Any) -> bool:
    return isinstance(source, Mapping) and any(
        key in source for key in ("editable", "virtual", "directory", "git", "path")
    )


def _standard(name: str, packages: list[Mapping[str, Any]]) -> Lock:
    lines, builds = [], []
    for package in packages:
        marker = package.get("marker", "")
        if "extras" in marker or "dependency_groups" in marker or "directory" in package:
            continue
        if "version" not in package or any(key in package for key in ("vcs", "archive")):
            builds.append(str(package["name"]))
            continue
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        hashes = [
            f" --hash={kind}:{value}" for file in files for kind, value in file.get("hashes", {}).items()
        ]
        lines.append(
            f"{package['name']}=={package['version']}{f' ; {marker}' if marker else ''}{''.join(hashes)}"
        )
    return _lock(name, lines, builds=(*builds, *_builds(lines)))


def _project(path: Path, name: str) -> Lock | None:
    content = _toml(path)
    if "project" not in content and "poetry" not in content.get("tool", {}):
        return None
    asked, python = _asked(content, name)
    if not asked:
        return None
    note = f"{name} pins no versions, so the newest that fit are installed. What they are is in the run's record."
    return _lock(name, asked, notes=(note,), requires_python=python, builds=_builds(asked))


def _asked(content: Mapping[str, Any], name: str) -> tuple[list[str], str]:
    """Give what a project asks for, and for which Python."""
    project = content.get("project", {})
    poetry = content.get("tool", {}).get("poetry", {})
    if "dependencies" in project or not poetry:
        if "dependencies" in project.get("dynamic", ()):
            raise TargetError(
                f"{name} computes its dependencies when it is built. Name a lock, such as requirements.lock."
            )
        return list(project.get("dependencies", ())), str(project.get("requires-python", ""))
    asked = []
    for dependency, wanted in poetry.get("dependencies", {}).items():
        if dependency.lower() == "python" or (isinstance(wanted, Mapping) and wanted.get("optional")):
            continue
        extras = ",".join(wanted.get("extras", ())) if isinstance(wanted, Mapping) else ""
        marker = wanted.get("markers", "") if isinstance(wanted, Mapping) else ""
        asked.append(f"{dependency}{f'[{extras}]' if extras else ''}{f' ; {marker}' if marker else ''}")
    return asked, ""


def _file(path: Path, name: str, tree: Path) -> Lock:
    requirements: list[str] = []
    constraints: list[str] = []
    notes: dict[str, None] = {}
    for line, binds in _lines(path, tree, 0, binds=False):
        option = re.split(r"[ =]", line, maxsplit=1)[0]
        if option in _INDEX_OPTIONS:
            notes[
                f"{name} names package indexes of its own, which are left out: packages come from yours."
            ] = None
        elif option.startswith("-") and option not in _KEPT_OPTIONS and not _OWN.fullmatch(line):
            notes[f"{name} says {option}, which is left out."] = None
        elif _OWN.fullmatch(line.partition(" ;")[0].strip()):
            notes[
                f"{name} installs the tree itself, which is left out: its code is run from where it is."
            ] = None
        else:
            (constraints if binds else requirements).append(line)
    return _lock(
        name,
        requirements,
        constraints,
        path.parent,
        notes=tuple(notes),
        builds=_builds([*requirements, *constraints]),
    )


def _lines(path: Path, tree: Path, depth: int, *, binds: bool) -> Iterator[tuple[str, bool]]:
    """Give a requirements file's lines, those of the files that it names among them, and whether they only bind."""
    if depth > _DEEPEST:
        raise TargetError(f"{path.name} names files that name files, {_DEEPEST} deep. Is there a circle?")
    text = re.sub(r"\\\r?\n", " ", path.read_text(encoding="utf-8-sig"))
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        named = re.fullmatch(r"(-r|--requirement|-c|--constraint)[ =]*(.+)", line)
        if named is not None:
            other = path.parent / named[2].strip()
            if not other.resolve().is_relative_to(tree.resolve()) or not other.is_file():
                raise TargetError(f"{path.name} names {named[2]}, which is not in the tree.")
            yield from _lines(other, tree, depth + 1, binds=binds or named[1] in ("-c", "--constraint"))
        elif line:
            yield line, binds


def _builds(requirements: list[str]) -> tuple[str, ...]:
    """Give the lines that are neither a package of an index, by name and version, nor a wheel in the tree."""
    found = []
    for line in requirements:
        where = line.partition(";")[0].partition(" --hash")[0].strip()
        if not (where in _HARMLESS or _NAMED.fullmatch(where) or _WHEEL.fullmatch(where)):
            found.append(line.split(" ;")[0])
    return tuple(found)


def _path(line: str) -> str:
    """Give the path in the tree that a requirement names; empty where it names none."""
    where = re.sub(r"^(-e|--editable)[ =]*", "", line).partition(" ;")[0].partition(" --hash")[0].strip()
    where = where.removeprefix("file:").partition("[")[0]
    return where if "/" in where and "://" not in where and " @ " not in where else ""


def _content(path: Path) -> str:
    found = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            found.update(
                f"{file.relative_to(path.parent)}\0".encode() + hashlib.sha256(file.read_bytes()).digest()
            )
    return found.hexdigest()


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
