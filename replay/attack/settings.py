"""What a campaign is, beside what it attacks: a value, kept with it, so that it can go on as it was begun."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from replay.attack.campaign import Bounds
from replay.attack.llm import MOST_ASKED, ModelAttacker
from replay.attack.model import Attacker
from replay.attack.notebook import Notebook
from replay.attack.templates import Templates
from replay.attack.words import sendable
from replay.errors import ScorerError
from replay.risks.taxonomy import SURFACES, Cell, Surface, cells_of, taxonomy

if TYPE_CHECKING:
    from auditlog.layout import Layout


@dataclass(frozen=True, slots=True)
class Model:
    """An attacker that is a model."""

    url: str
    name: str
    """The model's, at that address."""
    key_env: str = ""
    """The variable that holds the key; never the key."""
    most_asked: int = MOST_ASKED
    send_words: bool = False
    """What customers said is sent, as `replay.attack.words` leaves it."""

    def __post_init__(self) -> None:
        """Refuse an address that holds a secret: it is kept.

        Raises:
            ScorerError: it does.
        """
        try:
            parts = urlsplit(self.url)
        except ValueError:
            raise ScorerError(
                "The attacker's address is none. Write one such as http://127.0.0.1:8091/v1."
            ) from None
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ScorerError(
                "The attacker's address holds more than a host and a path, such as a key. Put the key into a variable, and name "
                "that with --attacker-key-env."
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign tries, and how much of it."""

    lists: tuple[str, ...] = ("llm", "agentic", "mcp")
    surfaces: tuple[Surface, ...] = SURFACES
    languages: tuple[str, ...] = ("en",)
    bounds: Bounds = field(default_factory=Bounds)
    seed: int = 0
    about: str = ""
    """What the agent is for, for an attacker that is a model."""
    model: Model | None = None

    @property
    def cells(self) -> list[Cell]:
        """What is to be covered."""
        return cells_of([taxonomy(name) for name in self.lists], self.surfaces, self.languages)

    def attackers(self, layout: Layout, notebook: Notebook) -> Sequence[Attacker]:
        """Give who proposes attacks.

        Args:
            layout: the store's, whose redaction is applied to what is sent.
            notebook: what a model was asked so far.

        Raises:
            ScorerError: the model's address is none.
            ConfigurationError: what the store says of redaction means nothing.
        """
        if self.model is None:
            return (Templates(),)
        model = self.model
        words = sendable(layout) if model.send_words else None
        asked = ModelAttacker(
            model.url,
            model.name,
            key_env=model.key_env,
            most_asked=model.most_asked,
            words=words,
            notebook=notebook,
        )
        return (Templates(), asked)


def settings_from_json(fields: Mapping[str, Any]) -> Settings:
    """Read back what `dataclasses.asdict` made; fields that this version does not know are left out."""
    known = {name: fields[name] for name in _names(Settings) if name in fields}
    for name in ("lists", "surfaces", "languages"):
        if name in known:
            known[name] = tuple(known[name])
    if "bounds" in known:
        known["bounds"] = Bounds(**{n: known["bounds"][n] for n in _names(Bounds) if n in known["bounds"]})
    if known.get("model") is not None:
        known["model"] = Model(**{n: known["model"][n] for n in _names(Model) if n in known["model"]})
    return Settings(**known)


def _names(kind: type) -> list[str]:
    return [found.name for found in dataclasses.fields(kind)]
