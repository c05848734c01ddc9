"""Which differences between two calls a release engineer declared to be none: the `[match]` section of a TOML file.

The rules:

1. Nothing is forgiven that is not declared: for a tool by its name, and at a JSON pointer. Without rules only exact calls match.
2. Rules are a plain value: they travel in a run's manifest, and are part of its configuration's digest.
3. A file that says something unknown is refused as a whole, with the line and the nearest word that is known.

::

    [match.find_customer]
    ignore = ["/request_id", "/items/*/seen_at"]
    trim = ["/name"]
    lower = ["/name", "/email"]
    round = { "/amount" = 2 }
    timezone = ["/when"]                          # moments with an offset; or, for those without one:
    # timezone = { "/when" = "Europe/Berlin" }

    [match."*"]                                   # every tool and retriever
    ignore = ["/trace_id"]
"""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from auditlog.toml_file import TomlFile, parse_toml
from auditlog.values import Json
from auditlog.wording import nearest, unknown
from replay.canonical import match_key
from replay.errors import RunError
from replay.matching.normalising import EVERY_TOOL, HOWS, How, MatchRule, applied

_MOST_DIGITS = 15
_CENTS = 2


@dataclass(frozen=True, slots=True)
class MatchRules:
    """Every declared rule of a run."""

    rules: tuple[MatchRule, ...] = ()

    def of(self, name: str) -> tuple[MatchRule, ...]:
        """Give the rules of one tool or retriever."""
        return _of(self.rules, name)

    def key(self, kind: str, name: str, arguments: Json) -> str | None:
        """Give what two calls share when these rules make them one call; None where no rule is about such a call."""
        found = self.of(name) if kind != "model" else ()
        return match_key(kind, name, applied(found, arguments)) if found else None

    def compared(self, name: str, arguments: Json) -> Json:
        """Give a call's arguments as they are compared."""
        return applied(self.of(name), arguments)

    def kept(self, name: str, arguments: Json) -> Json:
        """Give a call's arguments as they are compared where nothing of them may be left out, or rounded beyond cents."""
        rules = (rule for rule in self.of(name) if rule.how != "ignore")
        return applied(
            [rule for rule in rules if rule.how != "round" or int(rule.option or 0) >= _CENTS], arguments
        )

    def needed(self, name: str, recorded: Json, asked: Json) -> tuple[MatchRule, ...]:
        """Give the rules without which two calls that these rules make one would be two.

        Args:
            name: the tool's or retriever's.
            recorded: the arguments of the one call.
            asked: those of the other.
        """
        kept = list(self.of(name))
        for rule in tuple(kept):
            others = [other for other in kept if other is not rule]
            if match_key("", "", applied(others, recorded)) == match_key("", "", applied(others, asked)):
                kept = others
        return tuple(kept)


NO_RULES = MatchRules()
"""Only exact calls match."""


@lru_cache(maxsize=1024)
def _of(rules: tuple[MatchRule, ...], name: str) -> tuple[MatchRule, ...]:
    return tuple(rule for rule in rules if rule.tool in (name, EVERY_TOOL))


def rules_to_json(rules: MatchRules) -> list[dict[str, Json]]:
    """Give rules as a manifest keeps them."""
    return [asdict(rule) for rule in rules.rules]


def rules_from_json(content: Any) -> MatchRules:
    """Read back what `rules_to_json`, or `asdict`, gave; what is not there is no rule."""
    items = content.get("rules", ()) if isinstance(content, Mapping) else content or ()
    return MatchRules(tuple(MatchRule(**item) for item in items))


def read_rules(path: str | os.PathLike[str]) -> MatchRules:
    """Read the `[match]` section of a file.

    Args:
        path: a TOML file; other sections in it are not looked at.

    Raises:
        RunError: it cannot be read, or says something that no rule can be; the message names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"The match rules in {path} cannot be read: {error}.") from None
    return parse_rules(text, str(path))


def parse_rules(text: str, name: str = "match.toml") -> MatchRules:
    """Read rules from a file's text.

    Args:
        text: the file's.
        name: what messages call the file.

    Raises:
        RunError: as `read_rules`.
    """
    file = parse_toml(text, name, RunError)
    return MatchRules(tuple(_Reader(file).rules(file.document)))


class _Reader:
    """Reads one file, and says where in it something is wrong."""

    def __init__(self, file: TomlFile) -> None:
        self._file = file

    def rules(self, document: Mapping[str, Any]) -> Iterator[MatchRule]:
        if "match" not in document:
            near = nearest("match", document)
            hint = f" It has [{near}]: did you mean [match]?" if near else ""
            raise RunError(
                f'{self._file.name} has no section [match]. Write one such as [match.TOOL] with lower = ["/name"].{hint}'
            )
        section = document["match"]
        if not isinstance(section, dict):
            raise self._wrong("[match] is a section of tools", "match")
        for tool, table in section.items():
            if not isinstance(table, dict):
                raise self._wrong(
                    f'{tool!r} stands in [match] itself; rules belong to a tool, as in [match.TOOL] or [match."*"]',
                    "match",
                    tool,
                )
            for how, content in table.items():
                yield from self._rules_of(tool, how, content)

    def _rules_of(self, tool: str, how: str, content: Any) -> Iterator[MatchRule]:
        at = ("match", tool, how)
        known = next((name for name in HOWS if name == how), None)
        if known is None:
            raise self._wrong(f"in [match.{tool}] {unknown('key', how, HOWS)}", *at)
        match content:
            case [*paths] if known != "round":
                yield from (self._rule(tool, known, path, None, at) for path in paths)
            case {**options} if known in ("round", "timezone"):
                yield from (self._rule(tool, known, path, option, at) for path, option in options.items())
            case _:
                raise self._wrong(f"{how} is {_wanted(known)}", *at)

    def _rule(self, tool: str, how: How, path: Any, option: Any, at: Sequence[str]) -> MatchRule:
        if not isinstance(path, str) or not path.startswith("/"):
            hint = f", such as {'/' + path!r}" if isinstance(path, str) and path else ""
            raise self._wrong(
                f"{how} has {path!r}, which is no JSON pointer: one begins with '/'{hint}", *at, path
            )
        if how == "round" and (
            isinstance(option, bool) or not isinstance(option, int) or not 0 <= option <= _MOST_DIGITS
        ):
            raise self._wrong(
                f"round takes a number of digits from 0 to {_MOST_DIGITS} for {path!r}, and not {option!r}",
                *at,
                path,
            )
        if how == "timezone" and option is not None:
            zones = zoneinfo.available_timezones()
            if option not in zones:
                near = nearest(str(option), zones) or "Europe/Berlin"
                raise self._wrong(f"time zone {option!r} is unknown; nearest {near!r}", *at, path)
        return MatchRule(tool, how, path, option)

    def _wrong(self, what: str, *at: object) -> RunError:
        return RunError(f"{self._file.at([str(part) for part in at])}: {what}.")


def _wanted(how: How) -> str:
    match how:
        case "round":
            return 'a table of pointers and digits, such as round = { "/amount" = 2 }'
        case "timezone":
            return (
                'a list of pointers, or a table of pointers and zones, such as { "/when" = "Europe/Berlin" }'
            )
        case _:
            return f'a list of pointers, such as {how} = ["/name"]'
