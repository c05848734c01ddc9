"""Answers in a replay what goes through Python's own `http.client`: `urllib.request`, and what else is built on it.

The rules:

1. Only a replay meets it. A recording has nothing of what goes this way, but of the same request through another library it may.
2. What is asked of an allowed host is served, missed or blocked as `http_calls` says. A request to a model, and what stands in a
   call whose body runs, goes its way.
3. A served response is read from bytes as any other is from its connection, which is not opened. Of one that came for real (of a
   live write) only its status and headers are recorded.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from typing import Any

from auditlog import interception
from auditlog.call import ActiveCall
from auditlog.decorators import given
from auditlog.http_calls import Reading, begun
from auditlog.http_content import response_of

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})
"""Headers that are not true of a body that was read and decoded."""


class _Bytes:
    """Stands in for the connection of a response."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        """Give what would be read."""
        return io.BytesIO(self._content)


def patch(client: Any) -> None:
    """Stand before a connection's requests and answers.

    Args:
        client: the module `http.client`.
    """
    connection = client.HTTPConnection
    request, putrequest, getresponse = connection.request, connection.putrequest, connection.getresponse
    if hasattr(request, "__auditlog__"):
        return

    @functools.wraps(request)
    def ask(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        headers = {} if headers is None else headers
        call = _begun(client, self, method, url, headers, _bytes(body))
        if call is not None and call.answer is not None:
            self.auditlog_served = _served(client, call, method)
            return None
        self.auditlog_asking = True
        try:
            asked = request(self, method, url, body, headers, *args, **kwargs)
        except BaseException as error:
            if call is not None:
                call.fail(error)
            raise
        finally:
            del self.auditlog_asking
        self.auditlog_asked = call
        return asked

    @functools.wraps(putrequest)
    def put(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(self, "auditlog_asking"):
            # Its body is not at hand yet, so it equals nothing that was recorded.
            call = self.auditlog_asked = _begun(client, self, method, url, {}, None)
            if call is not None and call.answer is not None:
                _served(client, call, method)
        return putrequest(self, method, url, *args, **kwargs)

    @functools.wraps(getresponse)
    def answered(self: Any) -> Any:
        served, call = vars(self).pop("auditlog_served", None), vars(self).pop("auditlog_asked", None)
        if served is not None:
            return served
        try:
            response = getresponse(self)
        except BaseException as error:
            if call is not None:
                call.fail(error)
            raise
        if call is not None:
            # What is live is recorded as having happened; nobody looks at the reading of it here.
            Reading(call, response.status, response.getheaders()).end(abandoned=True)
        return response

    ask.__auditlog__ = True  # type: ignore[attr-defined]
    connection.request, connection.putrequest, connection.getresponse = ask, put, answered


def _begun(
    client: Any, connection: Any, method: str, url: str, headers: Mapping[str, Any], body: bytes | None
) -> ActiveCall | None:
    if interception.installed() is None or type(connection).__module__.startswith("urllib3."):
        # What goes through urllib3 is met where its pools ask.
        return None
    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    found = begun(method, _whole(client, connection, url), lower, body)
    return None if found is None else found.call


def _whole(client: Any, connection: Any, url: str) -> str:
    if url.startswith(("http://", "https://")):
        return url
    secure = isinstance(connection, getattr(client, "HTTPSConnection", ()))
    tunnelled = connection._tunnel_host  # noqa: SLF001 - whom a proxy is to reach for it
    host, port = (tunnelled, connection._tunnel_port) if tunnelled else (connection.host, connection.port)  # noqa: SLF001
    where = f"[{host}]" if ":" in str(host) else host
    return f"{'https' if secure else 'http'}://{where}:{port}{url}"


def _bytes(body: Any) -> bytes | None:
    match body:
        case None:
            return b""
        case bytes() | bytearray():
            return bytes(body)
        case str():
            # As the library sends it.
            return body.encode("iso-8859-1", "replace")
        case _:
            return None


def _served(client: Any, call: ActiveCall, method: str) -> Any:
    """Make the response that a recording holds."""
    assert call.answer is not None
    try:
        value = given(call.answer)
        status, headers, content = response_of(value)
    except BaseException as error:
        call.fail(error)
        raise
    call.succeed(value)
    kept = [(name, said) for name, said in headers if name.lower() not in _OF_THE_WIRE]
    lines = [
        f"HTTP/1.1 {status} {client.responses.get(status, '')}",
        *(f"{name}: {said}" for name, said in kept),
    ]
    head = "\r\n".join((*lines, f"content-length: {len(content)}", "connection: close", "", ""))
    response = client.HTTPResponse(_Bytes(head.encode("iso-8859-1", "replace") + content), method=method)
    response.begin()
    return response
