"""Looks at a set-up, one thing after the other, and says what is wrong and how to mend it.

The rules:

1. Every check gives findings and raises nothing: what it cannot look at is itself a finding.
2. `wrong` means that something is lost, hidden or cannot work; `note` is worth knowing; `ok` says what was looked at.
3. Nothing is changed: looking at a store leaves it as it was.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from auditlog.errors import AuditlogError

Grade = Literal["ok", "note", "wrong"]

_DEPENDENCIES = (
    "click",
    "duckdb",
    "google-crc32c",
    "opentelemetry-sdk",
    "orjson",
    "pyarrow",
    "rapidfuzz",
    "textual",
    "wcwidth",
)


class Finding(NamedTuple):
    """What one check found."""

    grade: Grade
    subject: str
    text: str
    mend: str = ""
    """What to do about it."""


def findings(store: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything.

    Args:
        store: the store's path.
        environment: the environment's variables.
    """
    yield from installation()
    yield from bundled_files()
    yield from commands()
    yield from telemetry(environment)
    from auditlog.cli.checkup_store import the_store

    yield from the_store(store)


def installation() -> Iterator[Finding]:
    """Look at Python, at what is installed, and at what must not be."""
    from importlib.metadata import PackageNotFoundError, version

    wanted = (3, 11)
    python = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info < wanted:
        yield Finding("wrong", "python", python, "Use Python 3.11 or newer.")
    else:
        yield Finding("ok", "python", python)
    found, missing = [], []
    for name in ("auditlog-replay", *_DEPENDENCIES):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding("ok", "packages", ", ".join(found))
    if missing:
        yield Finding(
            "wrong", "packages", f"{', '.join(missing)} not installed", "Install auditlog-replay again."
        )
    try:
        theirs = version("django-auditlog")
    except PackageNotFoundError:
        return
    yield Finding(
        "wrong",
        "django-auditlog",
        f"django-auditlog {theirs} is installed here too, and both are imported as `auditlog`: their files overwrite each other",
        "Uninstall both, then install the one you want; give the other an environment of its own.",
    )


def bundled_files() -> Iterator[Finding]:
    """Look for the files that travel with the package."""
    from auditlog.resources import directory

    for name in ("schemas", "sample_traces", "examples"):
        try:
            directory(name)
        except AuditlogError as error:
            yield Finding("wrong", "files", str(error))


def commands() -> Iterator[Finding]:
    """Look whether the commands of the other packages are found."""
    from auditlog.cli.plugins import plugins

    found = plugins()
    missing = [name for name in ("replay", "tui") if name not in found]
    if missing:
        yield Finding(
            "wrong", "commands", f"{' and '.join(missing)} not found", "Install auditlog-replay again."
        )
    for plugin in found.values():
        try:
            plugin.load()
        except AuditlogError as error:
            yield Finding("wrong", "commands", str(error))


_LENGTH_LIMITS = (
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
)
_COUNT_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
)
_USUAL_COUNT = 128
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def telemetry(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the OpenTelemetry settings of this environment; decorated calls depend on none of them."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding(
            "wrong",
            "opentelemetry",
            "OTEL_SDK_DISABLED=true: the spans of other instrumentations never reach AuditSpanProcessor",
            "Unset it where the agent runs.",
        )
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler and sampler not in ("always_on", "parentbased_always_on"):
        yield Finding(
            "wrong",
            "opentelemetry",
            f"OTEL_TRACES_SAMPLER={sampler}: spans that are not sampled never reach AuditSpanProcessor",
            "Set it to parentbased_always_on, and sample in the exporter or collector.",
        )
    for name in _LENGTH_LIMITS:
        if environment.get(name, "").strip():
            yield Finding(
                "wrong",
                "opentelemetry",
                f"{name}={environment[name]} cuts what instrumentations record of prompts and answers",
                "Unset it where the agent runs.",
            )
    for name in _COUNT_LIMITS:
        limit = environment.get(name, "").strip()
        if limit.isdigit() and int(limit) < _USUAL_COUNT:
            yield Finding(
                "wrong",
                "opentelemetry",
                f"{name}={limit} drops what comes beyond {limit}",
                f"Unset it: the default is {_USUAL_COUNT}.",
            )
    if environment.get(_CONTENT, "").strip().lower() in ("", "false", "no_content"):
        yield Finding(
            "note",
            "opentelemetry",
            "other instrumentations leave out what was said; decorated calls do not",
            f"Set {_CONTENT}=true (some want SPAN_ONLY) if you use AuditSpanProcessor with them.",
        )
