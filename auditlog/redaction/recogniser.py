r"""What else may find values: the protocol of plug-ins, and how they are found.

    class Badges:
        name = "badges"
        kinds = ("badge",)

        def find(self, text):
            return [Found(m.start(), m.end(), "badge") for m in re.finditer(r"B-\d{6}", text)]

    auditlog.configure("./audit", redact=Redactor(recognisers=[Badges()]))

The rules:

1. A recogniser sees one JSON string at a time, without escapes, and gives spans of characters in it.
2. It may raise: the part is then dropped, and never written in clear.
3. Packages offer recognisers in the entry-point group `auditlog.recognisers`; one is used only where it is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from auditlog.errors import ConfigurationError
from auditlog.redaction.token import is_kind
from auditlog.wording import nearest_hint

GROUP = "auditlog.recognisers"


class Found(NamedTuple):
    """A value in a text."""

    start: int
    """The place of its first character."""
    end: int
    """The place behind its last."""
    kind: str


class Recogniser(Protocol):
    """Finds values in a text."""

    @property
    def name(self) -> str:
        """What it is called in `configure` and in messages."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that it may find: lower-case letters, digits and underscores."""
        ...

    def find(self, text: str) -> Iterable[Found]:
        """Give the values in a text; they may overlap."""
        ...


def checked(recogniser: Recogniser) -> Recogniser:
    """Give a recogniser that keeps the protocol.

    Raises:
        ConfigurationError: it does not.
    """
    kinds = getattr(recogniser, "kinds", None)
    if not callable(getattr(recogniser, "find", None)) or not isinstance(kinds, tuple | list):
        raise ConfigurationError(
            f"{type(recogniser).__qualname__} is no recogniser: it needs `name`, `kinds` and `find(text)`."
        )
    for kind in kinds:
        if not isinstance(kind, str) or not is_kind(kind):
            raise ConfigurationError(
                f"{kind!r} cannot be a kind: use lower-case letters, digits and underscores."
            )
    return recogniser


def load(name: str) -> Recogniser:
    """Make the recogniser that an installed package offers under a name.

    Raises:
        ConfigurationError: there is none, or it cannot be made.
    """
    from importlib.metadata import entry_points

    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered:
        hint = nearest_hint(name, offered)
        raise ConfigurationError(f"No installed package offers a recogniser {name!r}.{hint}")
    try:
        return checked(offered[name].load()())
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"The recogniser {name!r} cannot be made: {error}") from error


def offered() -> tuple[str, ...]:
    """Give the names of the recognisers that installed packages offer."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry.name for entry in entry_points(group=GROUP)))
