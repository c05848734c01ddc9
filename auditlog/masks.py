"""What stands in the place of a value that is not recorded: `***`, and a digest that tells two values apart.

The rules:

1. The digest is under a key: a replay serves only the call with the very value, and nobody without the key can test a guess.
   Masking twice changes nothing.
2. Without the key there is no digest; whoever masks then says that something was lost, so that it equals nothing.
3. The key is the store's, `keys/masks.key`, made when HTTP is first recorded into it; a replay's worker is handed it.

Nothing here raises into the agent: a key that cannot be made is said once in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from auditlog.layout import Layout

MASK = "***"
_NEEDS = "Telling masked values apart"
_DIGITS = 16
"""Of a digest, in hex."""


def is_masked(text: str) -> bool:
    """Say whether a text stands in the place of a secret."""
    digest = text.removeprefix(MASK)
    if digest == text:
        return False
    return not digest or (
        len(digest) == 1 + _DIGITS and digest[0] == ":" and set(digest[1:]) <= set("0123456789abcdef")
    )


class Masker:
    """Masks the secrets of one request or one answer, and remembers whether it found some."""

    __slots__ = ("_key", "found")

    def __init__(self, key: bytes | None) -> None:
        """Mask with a key; None masks without a digest."""
        self._key = key
        self.found = False

    @property
    def lost(self) -> bool:
        """Whether something was masked that cannot be told from another."""
        return self.found and self._key is None

    def mask(self, value: Any) -> str:
        """Give what stands in the place of a value."""
        self.found = True
        if self._key is None:
            return MASK
        if isinstance(value, str):
            if is_masked(value):
                return value
            data = value.encode("utf-8", "surrogatepass")
        else:
            data = b"\x00" + orjson.dumps(value)
        import hmac

        return f"{MASK}:{hmac.digest(self._key, b'auditlog mask' + data, 'sha256')[: _DIGITS // 2].hex()}"


class _State:
    wanted = False
    layout: Layout | None = None
    key: bytes | None = None


def key() -> bytes | None:
    """Give the key of the store that is recorded into; None where there is none at hand."""
    return _State.key


def key_path(layout: Layout) -> Path:
    """Give the path of a store's key."""
    return layout.root / "keys" / "masks.key"


def want() -> None:
    """Have the key of the store that this process records into, now and after each `configure`."""
    _State.wanted = True
    _load()


def record_into(layout: Layout | None) -> None:
    """Know the store that this process records into from here on."""
    _State.layout, _State.key = layout, None
    if _State.wanted:
        _load()


def use(found: bytes | None) -> None:
    """Mask with this key: in a replay's worker, which has no store."""
    _State.key = found


def find_key(layout: Layout) -> bytes | None:
    """Read a store's key; None where nothing was ever masked.

    Raises:
        ConfigurationError: it is there, and cannot be used.
    """
    from auditlog import key_files

    return key_files.find(key_path(layout), _NEEDS)


def ensure_key(layout: Layout) -> bytes:
    """Read a store's key, made where there is none.

    Raises:
        ConfigurationError: it can neither be read nor made.
    """
    from auditlog import key_files

    return key_files.ensure(key_path(layout), _NEEDS)


def _load() -> None:
    if _State.layout is None or _State.key is not None:
        return
    from auditlog.errors import ConfigurationError
    from auditlog.recorder import log

    try:
        _State.key = ensure_key(_State.layout)
    except ConfigurationError as error:
        log.warning(
            "auditlog records no digests of masked values, so requests that hold some match none: %s", error
        )
