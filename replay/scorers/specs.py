"""Which scorer is meant: from a name or import path, with its options, to a Scorer.

The rules:

1. A scorer is named by a built-in's name, by a name in the entry-point group `auditlog.scorers`, or as `module:attribute`.
2. A built-in's name means the built-in: no plug-in, and no scorer under another name, can be called so.
3. Options are the function's own keyword arguments; one that it does not have, or lacks, is told with the nearest.
4. Under another name (`as`) the same scorer may be used twice, with other options.
5. What its scores are kept by says which scorer it is, too: where it is imported from and, of a plug-in, the digest of its
   module's source. A plug-in that was mended scores anew, whatever its version says.
6. A plug-in is imported where `resolve` is called: that is inside of a scoring worker, behind its locks, and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from auditlog.values import Json
from auditlog.wording import nearest_hint
from replay.errors import ScorerError
from replay.scorers.builtin import BUILT_IN
from replay.scorers.model import LEVELS, Level, Scorer

GROUP = "auditlog.scorers"


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """A scorer that is asked for."""

    target: str
    """A built-in's or plug-in's name, or `module:attribute`."""
    options: Mapping[str, Json] = field(default_factory=dict)
    name: str = ""
    """What its scores are called; by default what the scorer calls itself."""
    level: Level | None = None
    """By default the scorer's own."""

    @property
    def built_in(self) -> bool:
        """Whether it is one of ours."""
        return self.target in BUILT_IN

    def __str__(self) -> str:
        return f"{self.name}={self.target}" if self.name else self.target


class Plugin(NamedTuple):
    """A scorer that an installed package offers."""

    name: str
    target: str
    """`module:attribute`."""
    package: str


def parse(text: str, options: Mapping[str, Json] | None = None) -> ScorerSpec:
    """Read `TARGET` or `NAME=TARGET`.

    Raises:
        ScorerError: it is neither.
    """
    name, equals, target = text.partition("=")
    if not equals:
        name, target = "", text
    if not target.strip() or (equals and not name.strip()):
        msg = f"{text!r} names no scorer. Write a name, module:attribute, or NAME=SCORER. `auditlog replay scorers` lists them."
        raise ScorerError(msg)
    _refuse_taken(name.strip(), target.strip())
    return ScorerSpec(target.strip(), dict(options or {}), name.strip())


def plugins() -> dict[str, Plugin]:
    """Give the scorers of installed packages by name, without importing them."""
    from importlib.metadata import entry_points

    found: dict[str, Plugin] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        package = entry.dist.name if entry.dist is not None else ""
        if entry.name not in BUILT_IN:
            found.setdefault(entry.name, Plugin(entry.name, entry.value, package))
    return found


def resolve(spec: ScorerSpec) -> Scorer:
    """Import a scorer and set its options.

    Raises:
        ScorerError: there is none, it does not import, is no scorer, or does not take the options.
    """
    if spec.target in BUILT_IN:
        path = BUILT_IN[spec.target].path
    elif ":" in spec.target:
        path = spec.target
    else:
        found = plugins()
        if spec.target not in found:
            raise ScorerError(_unknown(spec.target, found))
        path = found[spec.target].target
    scorer = imported(spec.target, path)
    checked_options(scorer, spec.options)
    configured = scorer.configured(**dict(spec.options))
    level = spec.level or configured.level
    if level not in LEVELS:
        msg = f"The level of {spec} is {level!r}; it is one of {', '.join(LEVELS)}."
        raise ScorerError(msg)
    name = spec.name or configured.name
    _refuse_taken(name, spec.target)
    return replace(configured, name=name, level=level, pins={**configured.pins, **_origin(spec, path)})


def _refuse_taken(name: str, target: str) -> None:
    """Refuse a built-in's name for something else.

    Raises:
        ScorerError: naming what to write.
    """
    if name in BUILT_IN and name != target:
        msg = f"{name!r} is the name of a built-in scorer, and {target} is another. Name it otherwise: OTHER={target}."
        raise ScorerError(msg)


def _origin(spec: ScorerSpec, path: str) -> dict[str, str]:
    """Say which scorer it is: where it is from, and the source of a plug-in."""
    if spec.built_in:
        return {"target": path}
    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    try:
        source = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        source = ""
    return {"target": path, "source": source}


def options_of(scorer: Scorer) -> dict[str, inspect.Parameter] | None:
    """Give the options that a scorer takes, by name; None for one that takes any."""
    parameters = list(inspect.signature(scorer.function).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def checked_options(scorer: Scorer, options: Mapping[str, Json]) -> None:
    """Refuse options that a scorer does not take, and the lack of those that it needs.

    Raises:
        ScorerError: naming the nearest option.
    """
    named = options_of(scorer)
    if named is None:
        return
    for name in options:
        if name not in named:
            known = nearest_hint(name, named) or f" It has {', '.join(named) or 'none'}."
            msg = f"The scorer {scorer.name} has no option {name!r}.{known}"
            raise ScorerError(msg)
    given = {*options, *scorer.options}
    missing = [name for name, p in named.items() if p.default is p.empty and name not in given]
    if missing:
        msg = (
            f"The scorer {scorer.name} needs the option {missing[0]!r}: --option {scorer.name}.{missing[0]}=…"
        )
        raise ScorerError(msg)


def imported(said: str, path: str) -> Scorer:
    """Import a scorer from where it is.

    Raises:
        ScorerError: it does not import, or is no scorer.
    """
    module, _, attribute = path.partition(":")
    try:
        found: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except ModuleNotFoundError as error:
        ours = "Install it with: pip install 'auditlog-replay[gate]'."
        mend = ours if said in BUILT_IN else "Give --path where it lies, or install it."
        msg = f"The scorer {said!r} does not import: there is no module {error.name!r}. {mend}"
        raise ScorerError(msg) from error
    except AttributeError as error:
        near = _nearest(attribute, module)
        msg = f"The module {module!r} has no scorer {attribute!r}.{near}"
        raise ScorerError(msg) from error
    except Exception as error:
        msg = f"The scorer {said!r} does not import: {type(error).__qualname__}: {error}"
        raise ScorerError(msg) from error
    if not isinstance(found, Scorer):
        msg = f"{said!r} is {type(found).__qualname__} and no scorer. Decorate its function with @replay.scorers.scorer(…)."
        raise ScorerError(msg)
    return found


def _nearest(attribute: str, module: str) -> str:
    names = [
        name for name, value in vars(importlib.import_module(module)).items() if isinstance(value, Scorer)
    ]
    return nearest_hint(attribute, names) or f" It has {', '.join(names) or 'none'}."


def _unknown(name: str, found: Mapping[str, Plugin]) -> str:
    hint = nearest_hint(name, [*BUILT_IN, *found])
    return f"There is no scorer {name!r}.{hint} `auditlog replay scorers` lists them; your own is module:attribute."
