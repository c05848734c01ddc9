"""What a case may set for its whole process without a trace in any module: put back after it.

The rules:

1. The time zone, the locale, the recursion limit, the time that sockets wait, and the mask of new files' modes are as they were
   before the first case.
2. What nobody changed costs a comparison.
"""

from __future__ import annotations

import _locale  # what `locale` wraps, asked after each case
import contextlib
import locale
import os
import socket
import sys
import time

_setlocale, _umask = _locale.setlocale, os.umask


class Settings:
    """This process's settings as they were."""

    def __init__(self) -> None:
        """Remember them."""
        self._zone = time.tzname
        self._locale = _setlocale(locale.LC_ALL, None)
        self._recursion = sys.getrecursionlimit()
        self._timeout = socket.getdefaulttimeout()
        self._mask = _umask(0o077)
        _umask(self._mask)

    def put_back(self) -> None:
        """Put back what was changed; after the environment was, by which the zone is known."""
        if time.tzname is not self._zone:
            time.tzset()
            self._zone = time.tzname
        if _setlocale(locale.LC_ALL, None) != self._locale:
            with contextlib.suppress(locale.Error):
                _setlocale(locale.LC_ALL, self._locale)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if socket.getdefaulttimeout() != self._timeout:
            socket.setdefaulttimeout(self._timeout)
        _umask(self._mask)
