"""`auditlog.prompt(name, default)`: a prompt that has a name, so that it is recorded and a candidate can replace it.

The rules:

1. It gives the default; in a replay whose candidate replaces the prompt of this name, it gives that.
2. Name and version are recorded on the call around it, and all of a turn's prompts on the turn's agent.
3. A version that nobody states is the beginning of the text's SHA-256, so that a changed text is another version.
"""

from __future__ import annotations

import functools
import hashlib

from auditlog import context, overrides
from auditlog.turn import annotate


def prompt(name: str, default: str, *, version: str | None = None) -> str:
    """Give a prompt by name, and record which one it was.

    Args:
        name: what the prompt is called, such as "greeting".
        default: its text.
        version: your version of the text; by default the first 12 digits of its SHA-256.
    """
    text = default
    placed = overrides.installed()
    if placed is not None and (found := placed.prompt(name)) is not None:
        text, version = found.text, found.version
    frame = context.current()
    if frame is not None:
        known = version or _digest(text)
        annotate(prompt_name=name, prompt_version=known)
        frame.turn_facts["auditlog.prompts"] = {**frame.turn_facts.get("auditlog.prompts", {}), name: known}
    return text


@functools.lru_cache(maxsize=256)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
