"""What is really run, as digests: the code and what lies beside it, and the installed packages.

The rules:

1. Code is every module that the import of the agent loaded, wherever it lies, but for Python's own and installed ones:
   a package with all files in its directory, prompts and data among them; a lone module with the sources and data files
   in and below its directory.
2. An installed package is its name and version. A package that is installed to be edited is code.
3. Left out are what nobody writes by hand (byte code, hidden directories, virtual environments) and audit stores, which
   grow with every run.
4. The walk is bounded: beyond so many files only the modules themselves and what lies right beside them count.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from replay.targets.planned import Roots

DATA_SUFFIXES = frozenset(
    ".py .pyi .md .txt .rst .yaml .yml .toml .json .jsonl .csv .tsv .j2 .jinja .jinja2 .mustache .tmpl .tpl .prompt "
    ".prompty .html .xml .sql .ini .cfg".split()
)
"""What counts below the directory of a lone module: sources, and the ways in which prompts and tables are written."""

MOST_FILES = 5_000
_WHOLE_BYTES = 64 << 20
"""A larger file counts by its size and time: weights and indexes are read by nobody for a digest."""
_STARTED = frozenset({"__main__", "__mp_main__"})
_OURS = frozenset({"auditlog", "replay", "tui"})
_HOME = os.path.realpath(Path(__file__).parents[2]) + os.sep
"""Where this program's own packages lie; an agent's package of such a name lies elsewhere."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_NOT_BY_HAND = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a process runs, as digests."""

    code: str
    """SHA-256, hex, of the files."""
    packages: str
    """SHA-256, hex, of the names and versions of what is installed."""
    files: int = 0
    installed: int = 0
    outside: tuple[str, ...] = ()
    """Directories of code that is loaded from outside of the target's own files."""
    roots: Roots = ()
    """What `code` was made of, to make it again."""


def seen(within: str = "") -> Seen:
    """Look at what this process has loaded and can load.

    Args:
        within: the directory of the target's own files; empty where it has none of its own.
    """
    roots = tuple(
        (root, whole, tuple(sorted(files)))
        for root, (whole, files) in sorted(_sources(list(sys.modules.values())).items())
    )
    sources = _files(roots)
    count = sum(map(len, sources.values()))
    own = os.path.realpath(within) + os.sep if within else ""
    outside = tuple(sorted(root for root in sources if not f"{root}{os.sep}".startswith(own)))
    found = installed(sys.path)
    packages = hashlib.sha256("\n".join(f"{name}=={version}" for name, version in found).encode())
    return Seen(_code(sources), packages.hexdigest(), count, len(found), outside, roots)


def code_of(roots: Roots) -> str:
    """Give the digest of what is there now, as `Seen.code` is made; runs and imports nothing.

    Args:
        roots: what `seen` gave.
    """
    return _code(_files(roots))


def _files(roots: Roots) -> dict[str, list[str]]:
    return {root: _all(root, set(files), whole=whole) for root, whole, files in roots}


def _code(sources: Mapping[str, Iterable[str]]) -> str:
    # Where a directory lies is no part of what is in it.
    return hashlib.sha256(
        b"".join(sorted(_digest(root, files) for root, files in sources.items()))
    ).hexdigest()


def strayed(name: str, within: str) -> str:
    """Give where a loaded module is from, if that is outside of the target's own files; else nothing.

    Args:
        name: the module's.
        within: the directory of the target's own files; empty where it has none of its own.
    """
    file = getattr(sys.modules.get(name), "__file__", None)
    if not within or not isinstance(file, str):
        return ""
    return "" if os.path.realpath(file).startswith(os.path.realpath(within) + os.sep) else file


def installed(path: Iterable[str]) -> list[tuple[str, str]]:
    """Give the distributions in directories by name and version, without reading their files.

    Args:
        path: the directories, as Python searches them: of two versions the first counts.
    """
    found: dict[str, str] = {}
    for directory in path:
        try:
            names = os.listdir(directory or ".")  # noqa: PTH208 - hundreds of names, no objects needed
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                project, _, version = name.rpartition(".")[0].partition("-")
                found.setdefault(project.lower().replace("_", "-").replace(".", "-"), version)
    return sorted(found.items())


def _sources(modules: Iterable[ModuleType | None]) -> dict[str, tuple[bool, set[str]]]:
    """Give the files that are loaded, by the directory that they count from, and whether all files there count."""
    roots: dict[str, tuple[bool, set[str]]] = {}
    for module in modules:
        name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
        if not isinstance(file, str) or not isinstance(name, str):
            continue
        top = name.partition(".")[0]
        if top in _STARTED or (top in _OURS and os.path.realpath(file).startswith(f"{_HOME}{top}{os.sep}")):
            continue
        # Most are Python's own or installed, and looking where each really lies would cost more than all the rest.
        if not _is_own(file) or not _is_own(real := os.path.realpath(file)):
            continue
        root, whole = _root(name, real)
        known, files = roots.get(root, (False, set()))
        files.add(real)
        roots[root] = (known or whole, files)
    return roots


def _root(name: str, file: str) -> tuple[str, bool]:
    """Give the directory of the outermost package that a module is in, or else its own."""
    top = sys.modules.get(name.partition(".")[0])
    for directory in getattr(top, "__path__", ()):
        real = os.path.realpath(directory)
        if file.startswith(real + os.sep):
            return real, True
    return str(Path(file).parent), False


def _digest(root: str, files: Iterable[str]) -> bytes:
    found = hashlib.sha256()
    for file in files:
        found.update(os.fsencode(os.path.relpath(file, root)) + b"\0" + _content(file))
    return found.digest()


def _is_own(file: str) -> bool:
    return not file.startswith(_pythons()) and not any(
        f"{os.sep}{name}{os.sep}" in file for name in _INSTALLED
    )


@functools.cache
def _pythons() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {
        form(paths[name]) + os.sep for name in ("stdlib", "platstdlib") for form in (str, os.path.realpath)
    }
    return tuple(found)


def _all(root: str, loaded: set[str], *, whole: bool) -> list[str]:
    found = set(loaded)
    for file in _walk(root, whole=whole):
        found.add(file)
        if len(found) > MOST_FILES:
            beside = (
                str(path)
                for path in Path(root).iterdir()
                if _counts(path.name, whole=whole) and path.is_file()
            )
            return sorted({*loaded, *beside})
    return sorted(found)


def _walk(root: str, *, whole: bool) -> Iterator[str]:
    seen_already: set[str] = set()
    for directory, directories, names in os.walk(root, followlinks=True):
        # Prompts may stand behind a link, and a link may lead back to where it is.
        if (real := os.path.realpath(directory)) in seen_already:
            directories.clear()
            continue
        seen_already.add(real)
        below = (name for name in directories if not _is_skipped(f"{directory}{os.sep}{name}"))
        directories[:] = sorted(below)
        yield from (f"{directory}{os.sep}{name}" for name in sorted(names) if _counts(name, whole=whole))


def _counts(name: str, *, whole: bool) -> bool:
    if name.startswith(".") or name.endswith((".pyc", ".pyo")):
        return False
    return whole or os.path.splitext(name)[1].lower() in DATA_SUFFIXES  # noqa: PTH122


def _is_skipped(directory: str) -> bool:
    name = os.path.basename(directory)  # noqa: PTH119
    return (
        name.startswith(".")
        or name in _NOT_BY_HAND
        or os.path.exists(os.path.join(directory, "pyvenv.cfg"))  # noqa: PTH110, PTH118
        or is_store(directory)
    )


def is_store(directory: str | os.PathLike[str]) -> bool:
    """Whether a directory is an audit store."""
    return os.path.exists(os.path.join(directory, "store.toml"))  # noqa: PTH110, PTH118


def _content(file: str) -> bytes:
    """Give the SHA-256 of a file, or of what can be said of one that is no file to read."""
    try:
        found = os.stat(file)  # noqa: PTH116
        if not stat.S_ISREG(found.st_mode):
            return b"special"
        if found.st_size > _WHOLE_BYTES:
            return hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode()).digest()
        with open(file, "rb") as opened:  # noqa: PTH123
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError as error:
        return f"unreadable {error.errno}".encode()
