"""Scratch git repositories, and small wheels that are installed without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

AGENT = """
import auditlog
import politeness


@auditlog.tool(effect="read")
def look_up(order: str) -> dict:
    "Give an order."
    return {"order": order, "status": "late"}


@auditlog.model("writer")
def write(messages, model="small-1", tools=()):
    return model + ": " + messages[0]["content"]


@auditlog.agent("bot")
def answer(question: str) -> str:
    found = look_up(question)
    said = write([{"role": "system", "content": auditlog.prompt("greeting", politeness.greet())}])
    return f"{said}, it is {found['status']} (politeness {politeness.VERSION})"
"""


class Scratch:
    """A git repository of a test."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.git("init", "-q", "-b", "main", ".")

    def git(self, *words: str, **options: object) -> str:
        """Run git as its user would."""
        who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        names = (
            "-c",
            "user.name=Tester",
            "-c",
            "user.email=tester@example.com",
            "-c",
            "protocol.file.allow=always",
        )
        done = subprocess.run(
            ["git", *names, *words],
            cwd=self.path,
            env={**os.environ, **who},
            capture_output=True,
            text=True,
            check=True,
            **options,
        )
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        """Put files into the working tree."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    def commit(self, message: str, files: dict[str, str]) -> str:
        """Commit files; give the commit's id."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """An empty repository."""
    return Scratch(tmp_path / "bot")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone, and package indexes that hold nothing but its wheels."""
    monkeypatch.setenv("AUDITLOG_REPLAY_CACHE", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "GIT_")):
            monkeypatch.delenv(name)
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path):
    """Give what makes a wheel of one module and puts it where packages come from."""

    def make(name: str, version: str, code: str, *, home: Path | None = None, needs: str = "") -> Path:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files = {
            f"{name}.py": code,
            f"{info}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        listed = ""
        for path, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            listed += f"{path},sha256={digest},{len(content)}\n"
        files[f"{info}/RECORD"] = f"{listed}{info}/RECORD,,\n"
        path = (home or tmp_path / "wheels") / f"{name}-{version}-py3-none-any.whl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for inside, content in files.items():
                archive.writestr(inside, content)
        return path

    return make


@pytest.fixture
def agent_source() -> str:
    """The source of an agent that depends on `politeness`, and says which version of it there is."""
    return AGENT


@pytest.fixture
def politeness(wheel):
    """Two versions of a package, as wheels."""
    for version, word in (("1.0", "Hello"), ("2.0", "Good day")):
        wheel("politeness", version, f"VERSION = {version!r}\ndef greet(): return {word!r}\n")
