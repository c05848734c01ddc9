"""Takes values out of records, before they are written.

The rules:

1. Every part goes through it, whatever its name: content, errors and their stacks, attributes with tags and user ids.
   Of the entry, which nobody can erase later, the conversation's id and the span's name do.
2. Only the bytes of a value change; JSON stays JSON of the same shape, but that a number may become a string.
3. Redacting what is redacted changes nothing.
4. It fails closed: a part that cannot be redacted is not written, and the record says so (`auditlog.redaction_failed`).
   Nothing of a value, not even in an error's message, goes to a log.
5. A record says how many values of which kind were taken out: `auditlog.redactions`, and `auditlog.redactions.start` for
   what was known when the call began.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from auditlog.errors import ConfigurationError
from auditlog.redaction import marks, stream, token
from auditlog.redaction.bounded import SECONDS, Bounded
from auditlog.redaction.kinds import DEFAULT, Kind, chosen, known_kinds
from auditlog.redaction.recogniser import Recogniser, checked
from auditlog.redaction.scanner import Scanner, Span
from auditlog.redaction.validators import words
from auditlog.redaction.view import Inside, View, quoted, strings

log = logging.getLogger("auditlog")

COUNTS = "auditlog.redactions"
FAILED = "auditlog.redaction_failed"
MAX_TOKENS_KNOWN = 10_000

_NAMES = ("conversation", "name")
_FAILED_NAME = "<redaction failed>"
_STREAMED = b'"auditlog.stream":true'


class Redacted(NamedTuple):
    """JSON text without the values that were found in it."""

    text: bytes
    counts: dict[str, int]
    """How many were found, by kind."""
    originals: dict[str, str]
    """The values by token."""


class Redactor:
    """Finds the values of some kinds, and puts tokens in their place."""

    def __init__(
        self,
        kinds: Iterable[str] = (DEFAULT,),
        *,
        recognisers: Sequence[Recogniser] = (),
        key: bytes | None = None,
        seal: Callable[[bytes, bytes], bytes] | None = None,
        timeout: float = SECONDS,
    ) -> None:
        """Choose what is looked for.

        Args:
            kinds: names of kinds (see schemas/redaction.json); `default` stands for those that are on by default.
            recognisers: finds more, at its own price.
            key: keys the tokens; by default `configure` gives the store's own key.
            seal: encrypts the originals of a record, given JSON text and what binds it to the record.
            timeout: how many seconds a recogniser may take for one text; a part for which it takes longer is not written.

        Raises:
            ConfigurationError: a kind is not known, or a recogniser keeps not to the protocol.
        """
        self.recognisers = tuple(checked(recogniser) for recogniser in recognisers)
        self._finds = [Bounded(_finder(recogniser), timeout) for recogniser in self.recognisers]
        more = [kind for recogniser in self.recognisers for kind in recogniser.kinds]
        self.kinds = chosen(kinds, more)
        self.faults = 0
        """Parts that could not be redacted, and were dropped."""
        self.seal = seal
        self._key = key
        known = _known()
        self._scanner = Scanner([known[name] for name in self.kinds if name in known])
        self._tokens: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}

    def keyed(self, key: bytes) -> Redactor:
        """Give the redactor the store's key, unless it has one."""
        if self._key is None:
            self._key = key
        return self

    def token(self, kind: str, value: str) -> str:
        """Give the token of a value.

        Raises:
            ConfigurationError: there is no key yet.
        """
        if self._key is None:
            raise ConfigurationError(
                "A redactor needs a key: pass it to auditlog.configure, or give it `key=`."
            )
        return token.token(self._key, kind, normal_form(kind, value))

    def record(self, entry: dict[str, Any], parts: Mapping[str, bytes]) -> dict[str, bytes]:
        """Redact one record; never raise.

        Args:
            entry: what is never erased; its conversation and name may be replaced here.
            parts: JSON text by part name.

        Returns:
            The parts to write, and what says what was taken out of them.
        """
        counts: dict[str, int] = {}
        originals: dict[str, str] = {}
        written: dict[str, bytes] = {}
        failed: list[str] = []
        for name in _NAMES:
            if isinstance(value := entry.get(name), str):
                entry[name] = self._name(value)
                if entry[name] == _FAILED_NAME:
                    failed.append(name)
        streamed = _STREAMED in parts.get("attributes", b"")
        for name, text in parts.items():
            if name == "vault":
                written[name] = text
                continue
            try:
                found = self.text(text, chunks=streamed and name == "output")
            except Exception as error:  # noqa: BLE001 - rule 4
                failed.append(name)
                self._fault(error)
                continue
            written[name] = found.text
            if found.counts:
                originals.update(found.originals)
                for kind, count in found.counts.items():
                    counts[kind] = counts.get(kind, 0) + count
        if counts or failed:
            at_start = entry.get("type") == "start"
            marks: dict[str, Any] = {f"{COUNTS}.start" if at_start else COUNTS: counts} if counts else {}
            if failed:
                # A reader must not take a part that is not there for one that never was.
                marks |= {f"{FAILED}.start" if at_start else FAILED: failed, "auditlog.lossy": True}
            written["attributes"] = _marked(written.get("attributes"), marks)
            if originals and self.seal is not None:
                try:
                    written["vault"] = self.seal(orjson.dumps(originals), bound_to(entry))
                except Exception as error:  # noqa: BLE001 - what cannot be sealed cannot be revealed, and that is all
                    self._fault(error)
        return written

    def parts(self, parts: Mapping[str, bytes]) -> dict[str, bytes]:
        """Redact parts that belong to no span, such as a record of who read what; one that cannot be redacted is left out."""
        return self.record({}, parts)

    def text(self, raw: bytes, *, chunks: bool = False) -> Redacted:
        """Redact JSON text.

        Args:
            raw: the text.
            chunks: it is the list of a stream's items, which split values as they please.

        Raises:
            Exception: whatever a recogniser raises, or TooManyCandidatesError.
        """
        if chunks:
            joined = stream.redacted(raw, self._spans_of_string, self._replacement)
            if joined is not None:
                rest = self.text(joined.text)
                return Redacted(
                    rest.text, _sum(joined.counts, rest.counts), joined.originals | rest.originals
                )
        if marks.stand_in(raw):
            opened = marks.redacted(raw, self.text)
            if opened is not None:
                rest = self.text(opened.text)
                return Redacted(
                    rest.text, _sum(opened.counts, rest.counts), opened.originals | rest.originals
                )
        spans = self.find(raw)
        if not spans:
            return Redacted(raw, {}, {})
        counts: dict[str, int] = {}
        originals: dict[str, str] = {}
        pieces: list[bytes] = []
        at, inside = 0, Inside(raw)
        for start, end, kind, value in spans:
            told = value.decode("utf-8", "replace")
            made = self._replacement(kind, told)
            if made is None or start < at:
                continue
            first, last, replacement = quoted(raw, start, end, made.encode(), inside)
            pieces += (raw[at:first], replacement)
            at = last
            counts[kind] = counts.get(kind, 0) + 1
            originals[made] = told
        if not counts:
            return Redacted(raw, {}, {})
        pieces.append(raw[at:])
        return Redacted(b"".join(pieces), counts, originals)

    def find(self, raw: bytes) -> list[tuple[int, int, str, bytes]]:
        """Give what is found in JSON text: its place in the bytes, its kind, and itself without escapes."""
        if not self.recognisers and self._scanner.clean(raw):
            return []
        view = View(raw)
        spans = [
            (view.raw(span.start), view.raw(span.end), span.kind, view.text[span.start : span.end])
            for span in self._scanner.find(view.text)
        ]
        return self._with_recognised(raw, spans) if self.recognisers else spans

    def _replacement(self, kind: str, value: str) -> str | None:
        """Give the token of a value; None where nothing is left of it in its normal form."""
        made = self._tokens.get((kind, value))
        if made is None:
            shown = View(value.encode("utf-8", "replace"), escapes=False).text.decode("utf-8", "replace")
            if not normal_form(kind, shown):
                return None
            made = self.token(kind, shown)
            if len(self._tokens) >= MAX_TOKENS_KNOWN:
                self._tokens.clear()
            self._tokens[kind, value] = made
        return made

    def _with_recognised(
        self, raw: bytes, found: list[tuple[int, int, str, bytes]]
    ) -> list[tuple[int, int, str, bytes]]:
        spans: dict[tuple[int, int, str], bytes] = {
            (start, end, kind): value for start, end, kind, value in found
        }
        for at, content in strings(raw):
            view = View(content)
            for start, end, kind in self._recognised(view.text):
                place = (at + view.raw(start), at + view.raw(end), kind)
                spans[place] = view.text[start:end]
        kept = self._scanner.apart(Span(*place) for place in spans)
        return [
            (
                span.start,
                span.end,
                span.kind,
                spans.get((span.start, span.end, span.kind)) or View(raw[span.start : span.end]).text,
            )
            for span in kept
        ]

    def _recognised(self, text: bytes) -> Iterable[Span]:
        """Give what the recognisers find in one string, in bytes; whole words of it, never JSON's own signs."""
        told = text.decode("utf-8", "replace")
        masked = token.TOKEN.sub(lambda match: b" " * (match.end() - match.start()), text).decode(
            "utf-8", "replace"
        )
        for find in self._finds:
            for start, end, kind in find(masked):
                if kind not in self.kinds or not 0 <= start < end <= len(told):
                    continue
                for first, last in _pieces(told, start, end):
                    yield Span(len(told[:first].encode()), len(told[:last].encode()), kind)

    def _spans_of_string(self, text: str) -> list[tuple[int, int, str]]:
        """Give the values of a plain text, in characters."""
        raw = text.encode("utf-8", "replace")
        view = View(raw, escapes=False)
        found = [*self._scanner.find(view.text)]
        if self.recognisers:
            found = self._scanner.apart([*found, *self._recognised(view.text)])
        return [
            (
                len(raw[: view.raw(start)].decode("utf-8", "replace")),
                len(raw[: view.raw(end)].decode("utf-8", "replace")),
                kind,
            )
            for start, end, kind in found
        ]

    def _name(self, value: str) -> str:
        known = self._names.get(value)
        if known is None:
            try:
                known = orjson.loads(self.text(orjson.dumps(value)).text)
            except Exception as error:  # noqa: BLE001 - rule 4
                self._fault(error)
                return _FAILED_NAME
            if len(self._names) >= MAX_TOKENS_KNOWN:
                self._names.clear()
            self._names[value] = known
        return known

    def _fault(self, error: BaseException) -> None:
        self.faults += 1
        if self.faults == 1:
            log.warning(
                "auditlog could not redact a part (%s); it is not written. More are counted.",
                type(error).__name__,
            )


def _finder(recogniser: Recogniser) -> Callable[[str], list[Any]]:
    def find(text: str) -> list[Any]:
        found = []
        for start, end, kind in recogniser.find(text):
            if type(start) is not int or type(end) is not int or not isinstance(kind, str):
                msg = f"{type(recogniser).__qualname__}.find gives (start, end, kind)"
                raise TypeError(msg)
            found.append((start, end, str(kind)))
        return found

    return find


def normal_form(kind: str, value: str) -> str:
    """Give the normal form of a value; of a kind that a recogniser adds, its words."""
    known = _known().get(kind)
    return (known.normal if known else words)(value)


def bound_to(entry: Mapping[str, Any]) -> bytes:
    """Give what a record's originals are sealed to, so that they cannot be moved to another."""
    return f"{entry.get('trace')}/{entry.get('span')}".encode()


def _known() -> Mapping[str, Kind]:
    return known_kinds()


def _pieces(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    """Cut a span at quotes and brackets, which may be those of JSON inside the string."""
    at = start
    for place in range(start, end + 1):
        if place == end or text[place] in '"{}[]\\\n\x00':
            first, last = at, place
            while first < last and not text[first].isalnum():
                first += 1
            while last > first and not text[last - 1].isalnum():
                last -= 1
            if first < last:
                yield first, last
            at = place + 1


def _marked(attributes: bytes | None, marks: Mapping[str, Any]) -> bytes:
    added = orjson.dumps(marks)
    if attributes is None or attributes.strip() == b"{}":
        return added
    return attributes.rstrip()[:-1] + b"," + added[1:]


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in {**one, **other}}


def redactor_from(setting: Any) -> Redactor | None:
    """Make a redactor of what `configure(redact=…)` takes; None where nothing is to be redacted.

    Raises:
        ConfigurationError: it means nothing.
    """
    match setting:
        case False | None:
            return None
        case True:
            return Redactor()
        case Redactor():
            return setting
        case str():
            return Redactor([setting])
        case list() | tuple() | set() | frozenset():
            return Redactor(setting)
    raise ConfigurationError(
        f"redact={type(setting).__name__} means nothing: use True, False, a kind such as 'email', a list of kinds, "
        "or an auditlog.redaction.Redactor."
    )
