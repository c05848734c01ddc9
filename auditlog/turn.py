"""What the body of a call may say of itself: `annotate`, `evaluate`, `escalate`, `review`.

The rules:

1. Each speaks of the innermost recorded call around it; `escalate` and `review` mark the turn's agent call, too.
2. Outside of a recorded call, or with nothing configured, each does nothing; none ever raises into the agent.
3. Names are those of `Span`; one that is none is kept as `auditlog.fact.<name>` and is said once in the log.
"""

from __future__ import annotations

import functools
from typing import Any

from auditlog import config, context
from auditlog.encoding.encode import encode
from auditlog.names import bounded, plain_text
from auditlog.recorder import log


def annotate(**facts: Any) -> None:
    """Add facts to the call around here: `annotate(model_served="…", input_tokens=12, prompt_version="7")`."""
    frame = context.current()
    if frame is not None:
        for name, value in facts.items():
            if value is not None:
                frame.facts[_attribute_of(name)] = value


def evaluate(
    name: str, value: float | None = None, *, label: str | None = None, explanation: str | None = None
) -> None:
    """Add a judgement to the call around here."""
    frame = context.current()
    if frame is not None:
        found = {"name": name, "value": value, "label": label, "explanation": explanation}
        frame.facts.setdefault("auditlog.evaluations", []).append(
            {k: v for k, v in found.items() if v is not None}
        )


def escalate(reason: str, to: str | None = None) -> None:
    """Hand the conversation to a person, and record why.

    Args:
        reason: why, in a few words.
        to: the desk, queue or person it goes to.
    """
    frame = context.current()
    if frame is None:
        return
    facts = {"auditlog.escalation.reason": _told(reason)}
    if to is not None:
        facts["auditlog.escalation.to"] = _told(to)
    frame.turn_facts.update(facts)
    name = bounded(_told(to)) if to is not None else "human"
    _record(frame, "handoff", name, {"reason": _told(reason), "to": to}, facts)


def review(draft: Any, final: Any, *, by: str | None = None) -> None:
    """Record what a person made of the agent's draft before it went out.

    Args:
        draft: what the agent proposed.
        final: what was sent.
        by: who changed or approved it.
    """
    frame = context.current()
    if frame is None:
        return
    changed = encode(draft).text != encode(final).text
    facts: dict[str, Any] = {"auditlog.review.changed": changed}
    if by is not None:
        facts["auditlog.review.by"] = _told(by)
    # A turn with one changed draft was changed.
    before = frame.turn_facts.get("auditlog.review.changed", False)
    frame.turn_facts.update(facts, **{"auditlog.review.changed": changed or before})
    _record(frame, "other", "review", {"draft": draft, "final": final, "by": by}, facts)


def _record(frame: context.Frame, kind: str, name: str, said: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write what happened in a moment as a whole span below a call."""
    recorder = config.recorder()
    if recorder is None:
        return
    entry = {
        "trace": frame.trace_id,
        "span": context.new_span_id(),
        "parent": frame.span_id,
        "turn": frame.turn_id,
        "conversation": frame.conversation_id,
        "kind": kind,
        "name": name,
        "source": "decorator",
        "status": "ok",
    }
    operation = kind if kind == "handoff" else name
    recorder.span(entry, {"gen_ai.operation.name": operation, **facts}, {"input": encode(said).text})


def _told(value: Any) -> str:
    try:
        return plain_text(value)
    except Exception:  # noqa: BLE001 - rule 2: a stranger's object may have no text
        return f"({type(value).__name__})"


@functools.cache
def _attribute_of(name: str) -> str:
    # Only who annotates pays for the names.
    from auditlog.normalise import mapping

    found = mapping()["columns"].get(name)
    # What a replay says of its own calls, an agent does not say.
    if found is None or found[0].startswith("auditlog.replay."):
        log.warning(
            "auditlog.annotate: %r is no field of a span; it is kept as auditlog.fact.%s.", name, name
        )
        return f"auditlog.fact.{name}"
    return found[0]
