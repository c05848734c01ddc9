"""Reads a candidate's manifest: a TOML file that says what to run, and with what in the place of what.

The rules:

1. `schemas/candidate.schema.json` says what may stand in it; what else stands there is refused, with the line and the
   nearest key.
2. Its digest covers its whole content, prompts in files among them: two manifests that say the same are one.
3. No secret stands in it: variables are let through by name, and what looks like one is refused as a value. No variable
   that changes how Python itself starts, or what a replay needs, can be set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from auditlog.overrides import Overrides, PromptOverride, ToolOverride
from auditlog.resources import schema
from auditlog.schema_faults import faults
from auditlog.toml_file import TomlFile, parse_toml
from auditlog.wording import nearest_hint
from replay.canonical import digest_of
from replay.errors import TargetError
from replay.targets.planned import NOTHING

_SECRET = re.compile(
    r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|AUTH)($|_)", re.IGNORECASE
)
_RESERVED = re.compile(
    r"(PYTHON|LD_|DYLD_|AUDITLOG_|GIT_|PIP_|UV_).*|HOME|TMPDIR|PATH|BASH_ENV|ENV|IFS|VIRTUAL_ENV|OTEL_SDK_DISABLED",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a candidate is, as its author wrote it."""

    agent: str = ""
    adapter: str = ""
    commit: str = ""
    repository: str = ""
    lock: str = ""
    python: str = ""
    overrides: Overrides = NOTHING
    env: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    digest: str = ""


@cache
def _schema() -> Mapping[str, Any]:
    found = schema("candidate.schema")
    assert isinstance(found, dict)
    return found


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        TargetError: it is not there, is no TOML, or says what no manifest says; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(_missing(path, error)) from None
    file = parse_toml(text, path.name, TargetError)
    return _Reader(path, file).read(file.document)


class _Reader:
    """One file, for messages."""

    def __init__(self, path: Path, file: TomlFile) -> None:
        self._path = path
        self._file = file

    def read(self, content: Mapping[str, Any]) -> Manifest:
        for fault in faults(content, _schema()):
            self._refuse(fault.path, fault.what)
        if "agent" in content and "adapter" in content:
            self._refuse(("adapter",), "agent and adapter each name what to run: give one of them")
        variables = content.get("environment", {})
        for name in variables.get("set", {}):
            self._refuse_variable(name)
        for name in variables.get("pass", ()):
            if _RESERVED.fullmatch(name):
                self._refuse(
                    ("environment", "pass"),
                    f"{name} is not the agent's to have: it changes how a replay's process starts",
                )
        overrides = Overrides(
            models=tuple(sorted(content.get("models", {}).items())),
            prompts=tuple(
                self._prompt(name, said) for name, said in sorted(content.get("prompts", {}).items())
            ),
            tools=tuple(self._tool(name, said) for name, said in sorted(content.get("tools", {}).items())),
        )
        texts = {prompt.name: prompt.text for prompt in overrides.prompts}
        return Manifest(
            **{
                name: content.get(name, "")
                for name in ("agent", "adapter", "commit", "repository", "lock", "python")
            },
            overrides=overrides,
            env=tuple(dict.fromkeys(variables.get("pass", ()))),
            variables=tuple(sorted(variables.get("set", {}).items())),
            digest=digest_of({"content": json.loads(json.dumps(content, default=str)), "texts": texts}),
        )

    def _prompt(self, name: str, said: Mapping[str, Any]) -> PromptOverride:
        at = ("prompts", name)
        if ("text" in said) == ("file" in said):
            self._refuse(at, f"the prompt {name} has a text or a file, one of them")
        text = said.get("text")
        if text is None:
            try:
                text = self._inside(said["file"]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
                self._refuse((*at, "file"), f"the prompt's file {said['file']} cannot be read: {why}")
        return PromptOverride(name, text, said.get("version"))

    def _inside(self, name: str) -> Path:
        """Give a file beside the manifest, or in its repository: none else becomes a prompt, whoever wrote the manifest."""
        home = self._path.resolve().parent
        top = next((parent for parent in (home, *home.parents) if (parent / ".git").exists()), home)
        found = (home / name).resolve()
        if not found.is_relative_to(top):
            raise OSError(0, "it is neither below this file nor in its repository")
        return found

    def _tool(self, name: str, said: Mapping[str, Any]) -> ToolOverride:
        if not said:
            self._refuse(
                ("tools", name), f"the tool {name} replaces nothing; give description, parameters or replace"
            )
        parameters = said.get("parameters")
        written = None if parameters is None else json.dumps(parameters, sort_keys=True, default=str)
        return ToolOverride(name, said.get("description"), written, said.get("replace"))

    def _refuse_variable(self, name: str) -> None:
        at = ("environment", "set", name)
        if not name.isidentifier():
            self._refuse(at, f"{name!r} is no name of a variable")
        if _SECRET.search(name):
            self._refuse(
                at,
                f"{name} looks like a secret, which would be kept in the run's record; let it through by its name: "
                f'pass = ["{name}"]',
            )
        if _RESERVED.fullmatch(name):
            self._refuse(at, f"{name} is not the agent's to set: it changes how a replay's process starts")

    def _refuse(self, at: Sequence[str | int], what: str) -> NoReturn:
        raise TargetError(f"{self._file.at(at)}: {what}.")


def _missing(path: Path, error: Exception) -> str:
    if not isinstance(error, FileNotFoundError):
        return f"{path.name} cannot be read: {error}."
    there = [found.name for found in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    return f"There is no manifest {path.name} in {path.parent}.{nearest_hint(path.name, there)}"
