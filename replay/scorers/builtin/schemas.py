"""The output and the arguments of calls fit a JSON Schema.

The rules:

1. A schema comes as the option `schema`, or for the output as `expected["output_schema"]`.
2. Nothing that a schema refers to elsewhere is fetched: such a schema fails.
3. What is no JSON Schema is the scorer's failure, and not the agent's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema.validators import validator_for
from referencing import Registry

from auditlog.values import Json
from replay.diff.values import clip
from replay.scorers.builtin.common import bad, good, stopped
from replay.scorers.model import Score, Subject, scorer


@scorer(version="1", level="primary", expects=("output_schema",))
def output_schema(subject: Subject, *, schema: Mapping[str, Json] | None = None) -> Score:
    """The agent's output fits a JSON Schema; a text is read as JSON."""
    wanted = schema if schema is not None else subject.expected.get("output_schema")
    if wanted is None:
        return Score(None, "no schema")
    if stopped(subject) or subject.run.agent.output is None:
        return Score(None, subject.status)
    output = subject.run.agent.output
    if isinstance(output, str) and not _takes_text(wanted):
        try:
            output = json.loads(output)
        except ValueError:
            return bad("no JSON", (subject.run.turn_id,), "The output is a text that is no JSON.")
    return _fits(wanted, [(subject.run.turn_id, "the output", output)], subject)


@scorer(version="1", level="primary")
def arguments_schema(subject: Subject, *, tool: str, schema: Mapping[str, Json]) -> Score:
    """The arguments of each call of a tool fit a JSON Schema."""
    calls = [step for step in subject.steps if step.kind != "answer" and step.name == tool]
    if not calls:
        return Score(None, "not called")
    return _fits(schema, [(step.span_id, tool, step.arguments) for step in calls], subject)


def _takes_text(wanted: Any) -> bool:
    kinds = wanted.get("type") if isinstance(wanted, dict) else None
    return kinds == "string" or (isinstance(kinds, list) and "string" in kinds)


def _fits(wanted: Any, values: list[tuple[str, str, Json]], subject: Subject) -> Score:
    kind = validator_for(wanted, default=jsonschema.Draft202012Validator)
    kind.check_schema(wanted)
    # An empty registry: a schema that refers to an address fails, and nothing is fetched.
    validator = kind(wanted, registry=Registry())
    for span_id, name, value in values:
        error = next(iter(validator.iter_errors(value)), None)
        if error is not None:
            where = "/".join(map(str, error.absolute_path)) or "the whole"
            said = f"{name} at {clip(where, 60)}: {clip(str(error.validator), 40)} does not hold"
            return bad("does not fit", (span_id,), said)
    return good(subject, "fits")
