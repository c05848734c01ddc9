"""Makes a virtual environment of a lock, outside of every run, and keeps it for the next one.

The rules:

1. Made before the run, from the package indexes that the user configured, with uv where it is there, else with venv and pip.
   What a tree says of uv's settings is not read.
2. Wheels only, which install without running anything. What has to be built runs code of its own, outside of the sandbox:
   it is refused, unless the user allowed it, and then it is said.
3. Kept by the lock's digest, the version of Python and the installer. One that is not whole is made again.
4. Neither Python nor the environment's packages run anything of theirs here: Python is asked without `site`.
5. An environment that cannot be made is one sentence, with the installer's last lines.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from replay.errors import TargetError
from replay.targets import cache
from replay.targets.bootstrap import LENT_PROJECTS
from replay.targets.locks import Lock
from replay.targets.sources import installed

Say = Callable[[str], None]

LEAST_PYTHON = (3, 11)
_LEAST = {"opentelemetry-api": (1, 36), "orjson": (3, 10)}
"""What the worker needs of what an environment may bring itself."""
_LAST_LINES = 6
_SECRET = re.compile(r"://[^/@\s]+@")
_ASK = (
    "import json, sys, sysconfig;"
    "print(json.dumps([list(sys.version_info[:3]), sys.implementation.name,"
    " sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to make environments with."""

    command: str
    version: tuple[int, int, int]
    abi: str
    """What compiled modules must be made for."""

    @property
    def text(self) -> str:
        """Such as `3.11.7`."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is whole."""

    python: str
    site: str
    lent: str
    installed: tuple[tuple[str, str], ...]


def own() -> Interpreter:
    """Give the Python that runs this command."""
    found = sys.version_info
    return Interpreter(sys.executable, (found[0], found[1], found[2]), str(sysconfig.get_config_var("SOABI")))


def interpreter(wanted: str = "") -> Interpreter:
    """Find a Python.

    Args:
        wanted: a version such as `3.12`; empty for the one that runs this command.

    Raises:
        TargetError: it is not there, or too old.
    """
    if not wanted:
        return own()
    parts = wanted.split(".")
    if own().text.split(".")[: len(parts)] == parts:
        return own()
    # A version, and no path: what a repository names is not started outside of the sandbox.
    command = _uv_python(wanted) or shutil.which(f"python{'.'.join(parts[:2])}")
    facts = _facts(command) if command else None
    if command is None or facts is None:
        raise TargetError(
            f"There is no Python {wanted} here. Install it, so that python{'.'.join(parts[:2])} is on the PATH."
        )
    if facts.version[:2] < LEAST_PYTHON:
        raise TargetError(f"{wanted} is too old: a replay needs Python 3.11 or newer in the agent's process.")
    if facts.text.split(".")[: len(parts)] != parts:
        raise TargetError(f"{command} is Python {facts.text}, and not {wanted}.")
    return facts


def environment(
    lock: Lock,
    python: Interpreter,
    tree: Path,
    named: str,
    *,
    allow_builds: bool = False,
    say: Say | None = None,
) -> Environment:
    """Give the environment of a lock, made where it is not there yet.

    Args:
        lock: what is installed.
        python: for which Python.
        tree: where the lock's relative paths count from.
        named: whose it is, for messages.
        allow_builds: packages may be built, which runs their code outside of the sandbox.
        say: told what is done and how long it took.

    Raises:
        TargetError: it cannot be made.
    """
    say = say or (lambda _: None)
    if lock.builds and not allow_builds:
        raise TargetError(_must_build(lock, named))
    key = _key(lock, python, allow_builds=allow_builds)
    home = cache.directory("environments") / key
    with cache.locked(home):
        found = _whole(home, python)
        if found is None:
            shutil.rmtree(home, ignore_errors=True)
            began = time.monotonic()
            say(f"Making the environment of {named} from {lock.name} with Python {python.text} …")
            if allow_builds:
                say(
                    "Packages may be built (--allow-builds): that runs code of theirs outside of the sandbox."
                )
            try:
                _make(home, python, lock, tree, named, allow_builds=allow_builds)
                _mark(home, python)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise
            found = _whole(home, python)
            assert found is not None
            holds = "1 package" if len(found) == 1 else f"{len(found)} packages"
            say(f"It holds {holds}, took {time.monotonic() - began:.0f} s, and is kept in {home}.")
    _refuse_old(found, named)
    return Environment(str(_python(home)), str(_site(home, python)), _lent(python, say), tuple(found))


def _make(home: Path, python: Interpreter, lock: Lock, tree: Path, named: str, *, allow_builds: bool) -> None:
    uv = shutil.which("uv")
    if uv:
        make = [uv, *_uv_settings(), "venv", "--quiet", "--python", python.command, str(home)]
    else:
        make = [python.command, "-I", "-m", "venv", *(["--without-pip"] if _has_pip() else []), str(home)]
    _run(
        make,
        home.parent,
        f"No virtual environment could be made for {named}",
        "On Debian: apt install python3-venv.",
    )
    if not lock.requirements:
        return
    with tempfile.TemporaryDirectory(prefix="auditlog-lock-") as scratch:
        words = []
        for option, name, lines in (
            ("-r", "requirements.txt", lock.requirements),
            ("-c", "constraints.txt", lock.constraints),
        ):
            if lines:
                file = Path(scratch) / name
                file.write_text("\n".join(lines) + "\n", encoding="utf-8")
                words += [option, str(file)]
        # A relative path of a requirement counts from the lock's directory.
        _install(
            home,
            words,
            (tree / lock.name).parent,
            uv,
            f"The packages of {named} ({lock.name}) cannot be installed",
            allow_builds=allow_builds,
        )


def _install(
    home: Path, words: list[str], cwd: Path, uv: str | None, failed: str, *, allow_builds: bool
) -> None:
    hint = (
        ""
        if allow_builds
        else "If one of them has no wheel, --allow-builds builds it, outside of the sandbox."
    )
    if uv:
        command = [uv, *_uv_settings(), "pip", "install", "--quiet", "--python", str(_python(home)), *words]
        command += [] if allow_builds else ["--no-build"]
        command += ["--directory", str(cwd)]
        _run(command, home.parent, failed, hint)
        return
    pip = [sys.executable, "-I", "-m", "pip", "--python"] if _has_pip() else []
    command = [*pip, str(_python(home)), *([] if pip else ["-I", "-m", "pip"])]
    command += ["install", "--quiet", "--disable-pip-version-check", "--no-input", *words]
    command += [] if allow_builds else ["--only-binary", ":all:"]
    _run(command, cwd, failed, hint)


def _uv_settings() -> list[str]:
    """Let uv read the user's own settings, and none that a tree or a directory has."""
    homes = [
        os.environ.get("XDG_CONFIG_HOME") or "~/.config",
        *os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"),
        "/etc",
    ]
    named = [Path(os.environ["UV_CONFIG_FILE"])] if os.environ.get("UV_CONFIG_FILE") else []
    for file in (*named, *(Path(home).expanduser() / "uv" / "uv.toml" for home in homes if home)):
        if file in named or file.is_file():
            return ["--config-file", str(file.absolute())]
    return ["--no-config"]


def _has_pip() -> bool:
    """Whether this command's own pip can install for another Python, which then need not have one."""
    if importlib.util.find_spec("pip") is None:
        return False
    return int(importlib.metadata.version("pip").split(".")[0]) >= 23


def _lent(python: Interpreter, say: Say) -> str:
    """Give the directories with what a worker needs itself, compiled for a Python."""
    if python.abi == own().abi:
        homes = {str(importlib.metadata.distribution(name).locate_file("")) for name in LENT_PROJECTS}
        return os.pathsep.join(sorted(homes))
    wanted = tuple(f"{name}=={importlib.metadata.version(name)}" for name in LENT_PROJECTS)
    lock = Lock("what the worker needs", hashlib.sha256("\n".join(wanted).encode()).hexdigest(), wanted)
    home = cache.directory("environments") / _key(lock, python, allow_builds=False)
    with cache.locked(home):
        if _whole(home, python) is None:
            shutil.rmtree(home, ignore_errors=True)
            say(f"Installing what a worker needs for Python {python.text} …")
            _make(home, python, lock, home.parent, f"a worker for Python {python.text}", allow_builds=False)
            _mark(home, python)
    return str(_site(home, python))


def _must_build(lock: Lock, named: str) -> str:
    return (
        f"{lock.name} of {named} asks for {', '.join(lock.builds[:3])}, which comes neither from your package indexes nor "
        "as a wheel in the tree. Installing it may run code of its own, outside of the sandbox: --allow-builds lets it, "
        "or pin a version that is in an index."
    )


def _refuse_old(found: list[tuple[str, str]], named: str) -> None:
    for project, version in found:
        least = _LEAST.get(project)
        numbers = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
        if least is not None and numbers < least:
            wanted = ".".join(map(str, least))
            msg = (
                f"The environment of {named} has {project} {version}, and a replay needs {wanted} or newer in the agent's "
                'process. Replay a version that has it, or raise the pin in a lock that a manifest names (lock = "…").'
            )
            raise TargetError(msg)


def _key(lock: Lock, python: Interpreter, *, allow_builds: bool) -> str:
    words = (lock.digest, python.text, python.abi, str(allow_builds), sys.platform)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]


def _mark(home: Path, python: Interpreter) -> None:
    found = installed([str(_site(home, python))])
    (home / "whole.json").write_text(json.dumps(found), encoding="utf-8")


def _whole(home: Path, python: Interpreter) -> list[tuple[str, str]] | None:
    """Give what is installed in an environment; None where it is not as it was made."""
    try:
        made = [(str(name), str(version)) for name, version in json.loads((home / "whole.json").read_bytes())]
    except (OSError, ValueError, TypeError):
        return None
    there = installed([str(_site(home, python))])
    return made if made == there and _python(home).exists() else None


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _site(home: Path, python: Interpreter) -> Path:
    return home / "lib" / f"python{python.version[0]}.{python.version[1]}" / "site-packages"


def _facts(command: str) -> Interpreter | None:
    try:
        done = subprocess.run(
            [command, "-I", "-S", "-c", _ASK],
            capture_output=True,
            check=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        version, _, abi = json.loads(done.stdout)
        return Interpreter(command, (version[0], version[1], version[2]), str(abi))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _uv_python(wanted: str) -> str | None:
    uv = shutil.which("uv")
    if uv is None:
        return None
    done = subprocess.run(
        [uv, *_uv_settings(), "python", "find", "--no-project", wanted],
        capture_output=True,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip() or None


def _run(command: list[str], cwd: Path, failed: str, hint: str) -> None:
    environment = dict(os.environ)
    for name in (
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
    ):
        environment.pop(name, None)
    # pip reads a file beside the environment that it runs in; the user's is beside this command's.
    beside = Path(sys.prefix) / "pip.conf"
    if beside.is_file():
        environment.setdefault("PIP_CONFIG_FILE", str(beside))
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        raise TargetError(f"{failed}: {error.strerror}. {hint}".strip()) from None
    if done.returncode:
        said = _SECRET.sub("://…@", done.stdout.decode("utf-8", "replace")).strip().splitlines()
        last = "\n".join(f"  {line}" for line in said[-_LAST_LINES:])
        raise TargetError(f"{failed}. {hint}\nThe installer's last lines:\n{last}")
