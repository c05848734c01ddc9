"""Where an agent's own modules read what nothing pins: clocks, randomness, secrets, the environment, the network.

The rules:

1. Read are the sources of the modules that the agent's import loaded; installed packages, Python's own and ours are not the
   agent's. Nothing is run, and nothing is slowed down: the sources are parsed once, when a run is planned.
2. A name counts by what it was imported as, so `from time import time as t` is found, and a method called `now` is not.
3. What is found is a place in the source, and not a call: whether a case comes by there, nobody says. What a run pins
   (its seed, its frozen clock) is told apart by who reads the list.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

MOST_PLACES = 200
_MOST_BYTES = 4 << 20

CLOCK, RANDOM, SECRET, ENVIRONMENT, NETWORK = "clock", "random", "secret", "environment", "network"

_READS = {
    CLOCK: (
        "time.time time.time_ns time.localtime time.gmtime time.strftime time.ctime time.asctime time.clock_gettime "
        "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today"
    ),
    RANDOM: "random.* numpy.random.* uuid.uuid1 uuid.uuid4",
    # No seed of a run reaches these.
    SECRET: "secrets.* os.urandom os.getrandom random.SystemRandom uuid.uuid6 uuid.uuid7 uuid.uuid8",
    ENVIRONMENT: "os.environ os.environb os.getenv os.getenvb",
    NETWORK: "httpx.* httpx2.* requests.* urllib3.* urllib.request.* aiohttp.* socket.socket socket.create_connection",
}
_GENERATORS = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.SeedSequence"}
)
"""Made with a seed they give the same again; made without one they take it from the system, whatever the run's seed is."""
_HARMLESS = _GENERATORS | {"numpy.random.Generator"}
_OURS = frozenset({"auditlog", "replay", "tui"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})

_EXACT = {name: what for what, names in _READS.items() for name in names.split() if not name.endswith(".*")}
_WHOLE = {name[:-1]: what for what, names in _READS.items() for name in names.split() if name.endswith(".*")}


def direct_reads(directories: Iterable[str] = ()) -> tuple[str, ...]:
    """Look through the modules that this process has loaded.

    Args:
        directories: files are named from the one of these that they are in.

    Returns:
        A line for each place: `clock shop/agent.py:41 datetime.datetime.now`.
    """
    found: list[str] = []
    homes = [os.path.realpath(directory) + os.sep for directory in directories]
    for file in sorted(_own_files(list(sys.modules.values()))):
        name = next((file[len(home) :] for home in homes if file.startswith(home)), Path(file).name)
        try:
            if Path(file).stat().st_size > _MOST_BYTES:
                continue
            source = Path(file).read_bytes()
        except OSError:
            continue
        found += [f"{what} {name}:{line} {read}" for what, line, read in reads_of(source)]
    return tuple(found[:MOST_PLACES])


def reads_of(source: bytes | str) -> list[tuple[str, int, str]]:
    """Give what a source reads: what kind, the line, the name; nothing for one that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    names = dict(_imported(tree))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not _is_seeded(node):
            name = _dotted(node.func, names)
            if name in _GENERATORS:
                found.add((SECRET, node.lineno, name))
        # Of `a.b.c` only the whole name is looked up, or its beginnings would count again.
        if not isinstance(node, ast.Attribute | ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        if id(node) in inner and _kind(_dotted(node, names)) != ENVIRONMENT:
            continue
        name = _dotted(node, names)
        if (what := _kind(name)) is not None:
            found.add((what, node.lineno, name))
    return sorted(found, key=lambda read: (read[1], read[0], read[2]))


def _is_seeded(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(not (isinstance(value, ast.Constant) and value.value is None) for value in given)


def _kind(name: str) -> str | None:
    if name in _HARMLESS:
        return None
    exact = _EXACT.get(name)
    if exact is not None:
        return exact
    return next((what for beginning, what in _WHOLE.items() if name.startswith(beginning)), None)


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Give what each imported name of a module stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """Give a name as it would be written where nothing is renamed; empty for what is no imported name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join((names[node.id], *reversed(parts)))


def _own_files(modules: Iterable[ModuleType | None]) -> set[str]:
    paths = sysconfig.get_paths()
    pythons = tuple(os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib"))
    found = set()
    for module in modules:
        file, name = getattr(module, "__file__", None), getattr(module, "__name__", "")
        if not isinstance(file, str) or not file.endswith(".py") or str(name).partition(".")[0] in _OURS:
            continue
        real = os.path.realpath(file)
        if not _INSTALLED.intersection(Path(real).parts) and not real.startswith(pythons):
            found.add(real)
    return found
