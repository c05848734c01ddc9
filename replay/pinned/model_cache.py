"""Models' answers, kept and given again: what `model=cached` means.

The rules:

1. The cache is the store: an answer that a run with cached models got live is its recorded model call, marked with its key. So
   it is in the ledger like every record, is encrypted, held, erased and pruned with it, and there is no second copy.
2. The key is SHA-256 over everything that decides an answer: the recorded turn, the draw (see `pinning`), the model and the whole
   request in canonical form, which of several equal requests of the case it is, and what serves it: the hosts, and the values of
   the variables that the agent gets, but for credentials. Of a
   decorated function the request is only what it was called with, so the whole target's digest is in its key: code that changed
   gets new answers. A wrapped client's request is what is sent, and any target that sends it shares the answer.
3. The first answer to a key is the answer, for every later run, arm and process, however many there were since.
4. Never given are answers that were redacted, erased, lossy, left half-way, or errors. Before a run takes answers from a
   store, the store is verified: what somebody changed in it does not become a verdict.
5. A worker is handed the answers of its case, and looks nothing up: agent code does not come near the cache.
6. A given answer costs nothing, and its span says `cached`, and which call it is of. A stream comes again chunk by chunk.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from auditlog.http_models import OVER_HTTP
from auditlog.interception import Call, Served
from auditlog.values import Json, Span
from replay.canonical import canonical, lost_something
from replay.matching.recorded import types_of
from replay.matching.restore import NotRestorable, restored
from replay.matching.revive import value_of

if TYPE_CHECKING:
    from auditlog.store import Store

KEY = "auditlog.replay.cache_key"
"""On a model call: its draw, and what its answer is found by."""
TIER = "auditlog.replay.match_tier"
CACHED = "cached"
_SERVED = "auditlog.replay.served_span_id"
_COST = "auditlog.cost_usd"

PRUNED = "replay_cache_pruned"
"""The name of the record that says which answers are not given any more."""
PRUNED_RUN = "replay-cache"
"""What stands in such a record in the place of a run."""

_FACTS = ("gen_ai.usage.", "gen_ai.response.", "openai.response.", "auditlog.fact.")
_UNFIT = (
    "auditlog.redactions",
    "auditlog.redaction_failed",
    "auditlog.stream.abandoned",
    "auditlog.stream.reduced",
)


def cache_key(call: Call, place: str, code: str, number: int) -> str:
    """Give what an answer is found by, as 64 hex digits.

    Args:
        call: the model call.
        place: what `place_of` gave.
        code: the target's digest.
        number: which of the case's equal requests it is, from 0.
    """
    operation = call.operation
    attributes = dict(operation.attributes)
    said = {
        "v": 1,
        "place": place,
        "name": operation.name,
        "of": attributes,
        "request": dict(call.arguments),
        # A wrapped client has no definition: its request is all there is. Of one that nobody wrapped the headers are not known.
        "code": code
        if operation.digest or OVER_HTTP in attributes or "server.address" not in attributes
        else "",
        "number": number,
    }
    return _digest(said)


def place_of(span_id: str, draw: str, serves: str) -> str:
    """Give what is the same for every request of an execution, and another for one that must not share its answers.

    Args:
        span_id: the recorded turn's.
        draw: what `draw_of` gave.
        serves: what `serves` gave.
    """
    return _digest([span_id, draw, serves])


def serves(hosts: Iterable[str], variables: Mapping[str, str]) -> str:
    """Tell what serves a run's models: the hosts that are allowed, and what variables choose.

    Args:
        hosts: the run's.
        variables: those that the agent gets, and are no credentials: their values, or keyed digests of them.
    """
    return _digest([sorted(hosts), dict(variables)])


class CachedAnswers:
    """Answers one case's model calls; safe to ask from any thread."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Take what `cache_for` gave."""
        self._draw, self._place, self._code = str(given["draw"]), str(given["place"]), str(given["code"])
        self._answers: Mapping[str, Mapping[str, Any]] = given["answers"]
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> Served | None:
        """Answer a call; None lets it happen, and marks it for the cache."""
        if call.lossy or lost_something(dict(call.arguments)):
            return None
        first = cache_key(call, self._place, self._code, 0)
        with self._lock:
            number = self._asked[first]
            self._asked[first] += 1
        key = first if number == 0 else cache_key(call, self._place, self._code, number)
        found = self._answers.get(key)
        if found is None:
            call.facts[KEY] = f"{self._draw}:{key}"
            return None
        try:
            value = _value(found)
        except NotRestorable:
            return None
        facts = {
            **found["facts"],
            KEY: f"{self._draw}:{key}",
            TIER: CACHED,
            _SERVED: found["span_id"],
            _COST: 0.0,
        }
        return Served(value, facts)


def _value(found: Mapping[str, Any]) -> Any:
    if found["lossy"]:
        # A client's object: its fields are all there, and its class is not.
        return value_of(found["output"], was_object=True)
    try:
        return restored(found["output"], found["types"])
    except NotRestorable:
        return value_of(found["output"], was_object=True)


Answers = Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]]
"""By recorded turn and draw: the answers by key."""


def cache_for(answers: Answers, span_id: str, draw: str, *, serves: str, code: str) -> dict[str, Any]:
    """Give what a case's job carries of the cache.

    Args:
        answers: what `answers_of` gave.
        span_id: the recorded turn's.
        draw: what `draw_of` gave.
        serves: what `serves` gave.
        code: the target's digest.
    """
    found = answers.get((span_id, draw), {})
    return {"draw": draw, "place": place_of(span_id, draw, serves), "code": code, "answers": found}


def answers_of(
    store: Store, runs: Iterable[str], turns: Iterable[str], fits: Callable[[Span], bool] | None = None
) -> Answers:
    """Read the cached answers for some recorded turns.

    Args:
        store: where they are.
        runs: the ids of the runs that cached.
        turns: the recorded turns' span ids.
        fits: says which calls were not pruned; by default what `kept` says.
    """
    run_ids, sources = list(runs), list(turns)
    if not run_ids or not sources:
        return {}
    fits = fits or kept(store)
    condition = (
        "kind = 'model' AND status = 'ok' AND replay_match_tier IS NULL AND output IS NOT NULL "
        "AND replay_run_id IN (SELECT unnest(?::VARCHAR[])) "
        "AND replay_source_span_id IN (SELECT unnest(?::VARCHAR[])) AND contains(decode(attributes), ?)"
    )
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    answers = store.spans(condition, [run_ids, sources, KEY])
    for span in sorted(answers, key=lambda span: (span.start_ns, span.span_id)):
        if span.replay is None or not is_answer(span) or not fits(span):
            continue
        draw, _, key = str(span.attributes[KEY]).partition(":")
        found.setdefault((span.replay.source_span_id or "", draw), {}).setdefault(key, _told(span))
    return found


def is_answer(span: Span) -> bool:
    """Whether a recorded model call is an answer that may be given again."""
    attributes = span.attributes
    return (
        isinstance(attributes.get(KEY), str)
        and span.output is not None
        and not span.erased
        and not span.closed
        and not any(name.startswith(_UNFIT) for name in attributes)
        and attributes.get("auditlog.lossy_input") is not True
        and not (span.lossy and lost_something(span.output))
    )


def _told(span: Span) -> dict[str, Any]:
    facts: dict[str, Json] = {
        name: value for name, value in span.attributes.items() if name.startswith(_FACTS)
    }
    return {
        "span_id": span.span_id,
        "output": span.output,
        "types": types_of(span, "output"),
        "lossy": span.lossy,
        "facts": facts,
    }


def caching_runs(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the ids of the runs that cached, newest first.

    Args:
        manifests: the store's, newest first.
    """
    return [str(m["run_id"]) for m in manifests if (m.get("modes") or {}).get("model") == CACHED]


def kept(store: Store) -> Callable[[Span], bool]:
    """Give what says of an answer that it was not pruned."""
    marks = [
        span.input
        for span in store.spans("kind = 'other' AND name = ? AND replay_run_id = ?", [PRUNED, PRUNED_RUN])
        if isinstance(span.input, dict)
    ]

    def fits(span: Span) -> bool:
        return not any(
            span.start_ns < int(mark.get("before_ns") or 0)
            and mark.get("model") in (None, span.model_requested)
            for mark in marks
        )

    return fits


def _digest(value: Json) -> str:
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()
