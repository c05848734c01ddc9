"""A user's own keys, from a TOML file.

The rules:

1. The file is `$AUDITLOG_TUI_CONFIG`, or `auditlog/tui.toml` in `$XDG_CONFIG_HOME` or `~/.config`; none is needed.
2. Its table `[keys]` gives keys by action id: `"conversations.open" = "enter,o"`.
3. A mistake in it is an error that names the file and the nearest right thing, never a key that silently does nothing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from auditlog.errors import ConfigurationError
from tui.actions import remapped


def config_path(environ: Mapping[str, str]) -> Path:
    """Give the file that holds a user's keys, whether or not it is there."""
    if named := environ.get("AUDITLOG_TUI_CONFIG"):
        return Path(named)
    base = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "auditlog" / "tui.toml"


def load(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Read a user's keys; empty where there is no file.

    Raises:
        ConfigurationError: the file cannot be read, or means nothing.
    """
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if "AUDITLOG_TUI_CONFIG" in environ:
            raise ConfigurationError(f"AUDITLOG_TUI_CONFIG names {path}, which is not there.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The keys in {path} cannot be read: {error}.") from None
    try:
        table = tomllib.loads(text).get("keys", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The keys in {path} are not TOML: {error}.") from None
    if not isinstance(table, dict) or not all(isinstance(keys, str) for keys in table.values()):
        raise ConfigurationError(
            f'In {path}, [keys] must map action ids to texts, such as "list.open" = "enter,o".'
        )
    try:
        return remapped(table)
    except ConfigurationError as error:
        raise ConfigurationError(f"In {path}: {error}") from None
