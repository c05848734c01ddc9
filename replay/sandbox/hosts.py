"""The model hosts that a replay may reach, pinned to the addresses that they had when the worker began.

The rules:

1. A host is allowed by name and port, exactly as the user named it; nothing is allowed by default.
2. Names are resolved once, before the agent is imported, and the answers are what the agent gets afterwards: a name
   cannot come to mean another address while a case runs. A worker that cannot connect is replaced, and the next one asks anew.
3. A connection is allowed to a pinned address and port, and to nothing else.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from replay.errors import RunError


@dataclass(frozen=True, slots=True)
class Host:
    """A host that may be reached."""

    name: str
    port: int

    def __str__(self) -> str:
        """Give it as one writes it; what else stood in its address, a password perhaps, is not kept."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def parse_host(text: str) -> Host:
    """Read `name:port`, `[v6]:port`, or an http(s) address, of which host and port count.

    Raises:
        RunError: it is none of these.
    """
    scheme, separator, rest = text.partition("://")
    where = re.split(r"[/?#]", rest if separator else text, maxsplit=1)[0].rpartition("@")[2]
    name, colon, port = where.rpartition(":")
    if not colon or "]" in port or (name.count(":") and not name.startswith("[")):
        name, port = where, {"https": "443", "http": "80"}.get(scheme, "") if separator else ""
    name = name.strip("[]").lower()
    if not name or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        msg = f"{where!r} is no host. Write name:port, such as api.openai.com:443, or an address such as http://127.0.0.1:8080/v1."
        raise RunError(msg)
    return Host(name, int(port))


class AllowedHosts:
    """The allowed hosts with their pinned addresses."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        """Allow these; `pin` resolves them."""
        self.hosts = tuple(hosts)
        self.unresolved: tuple[str, ...] = ()
        """Names that had no address when they were pinned."""
        self._answers: dict[tuple[str, int], list[Any]] = {}
        self._addresses: set[tuple[str, int]] = set()
        self._real = socket.getaddrinfo

    def pin(self) -> None:
        """Resolve every name once, and let this process's lookups of it give these answers from now on."""
        unresolved = []
        for host in self.hosts:
            try:
                answers = self._real(host.name, host.port, type=socket.SOCK_STREAM)
            except OSError:
                unresolved.append(host.name)
                continue
            self._answers[host.name, host.port] = answers
            self._addresses |= {(str(answer[4][0]), host.port) for answer in answers}
        self.unresolved = tuple(unresolved)
        socket.getaddrinfo = self._pinned  # type: ignore[assignment]

    def ports(self) -> tuple[int, ...]:
        """Give the allowed ports."""
        return tuple(sorted({host.port for host in self.hosts}))

    def allows_name(self, name: Any) -> bool:
        """Whether a name may be looked up: an allowed host's, or an address that is allowed as it stands."""
        text = _text(name)
        return text is not None and (
            any(host.name == text for host in self.hosts)
            or any(address == text for address, _ in self._addresses)
        )

    def allows_address(self, address: Any) -> bool:
        """Whether a socket address may be connected to."""
        match address:
            case (str(host), int(port), *_):
                return (host, port) in self._addresses
            case _:
                return False

    def _pinned(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name of the function that it stands in for
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Stand in for `socket.getaddrinfo`."""
        number = (
            int(port)
            if isinstance(port, int | str) and str(port).isdigit()
            else {"https": 443, "http": 80}.get(port, -1)
        )
        answers = self._answers.get((_text(host) or "", number))
        if answers is None:
            return self._real(host, port, family, type, proto, flags)
        fitting = [answer for answer in answers if family in (0, answer[0]) and type in (0, answer[1])]
        if not fitting:
            raise socket.gaierror(socket.EAI_NONAME, f"{_text(host)} has no address of the family asked for")
        return fitting


def _text(name: Any) -> str | None:
    if isinstance(name, bytes):
        name = name.decode("ascii", "replace")
    return name.lower() if isinstance(name, str) else None
