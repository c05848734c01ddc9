"""Asks a model behind an OpenAI-compatible server, with Python's own HTTP client.

The rules:

1. Temperature 0 and a seed, always: the same question is meant to be answered the same.
2. Only what is the infrastructure's fault is tried again: 408, 409, 425, 429, 5xx, a connection that fails or times out. A
   refusal or an answer that makes no sense is not.
3. An answer is read up to a limit, and within the time; no redirect is followed, and no proxy is asked.
4. The key comes from the environment by its variable's name. It stands in no option, record or message.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from replay.errors import ScorerError

MAX_BYTES = 2 << 20
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_LONGEST_PAUSE = 20.0


class Reply(NamedTuple):
    """What a model said."""

    text: str
    model: str
    """The model that served it, as the server calls it; empty where it does not say."""
    input_tokens: int
    output_tokens: int


class JudgeUnavailableError(ScorerError):
    """The server gave no answer that could be read; the message never quotes one."""


class ChatClient:
    """One server and model."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key_env: str = "",
        timeout: float = 60.0,
        retries: int = 3,
        seed: int = 7,
        pause: float = 0.5,
        whose: str = "judge",
    ) -> None:
        """Prepare to ask.

        Args:
            base_url: such as `http://127.0.0.1:8091/v1`.
            model: the model's name there.
            key_env: the variable that holds the key; empty for a server without one.
            timeout: seconds for one answer.
            retries: how often an infrastructure's error is tried again.
            seed: for servers that sample in spite of temperature 0.
            pause: seconds before the first retry; doubled before each further one.
            whose: what messages call it.

        Raises:
            ScorerError: the address is none.
        """
        self._whose = whose
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"{base_url!r} is no address of a model. Write one such as http://127.0.0.1:8091/v1."
            raise ScorerError(msg)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/") + "/chat/completions"
        self._model, self._key_env = model, key_env
        self._timeout, self._retries, self._seed, self._pause = timeout, retries, seed, pause

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, json_mode: bool = False
    ) -> Reply:
        """Ask for one answer.

        Raises:
            JudgeUnavailableError: there is none, after the retries.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "seed": self._seed,
            "max_tokens": max_tokens,
            **({"response_format": {"type": "json_object"}} if json_mode else {}),
        }
        payload = json.dumps(body).encode()
        why = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(min(_LONGEST_PAUSE, self._pause * 2 ** (attempt - 1)) * (1 + random.random() / 4))  # noqa: S311
            try:
                status, said = self._post(payload)
            except (OSError, http.client.HTTPException) as error:
                why = f"the connection failed ({type(error).__name__})"
                continue
            if status == 200:
                return _reply(said, self._whose)
            why = f"it answered with status {status}"
            if status not in _RETRIED:
                break
        msg = f"The {self._whose} at {self._host}:{self._port} cannot be asked: {why}."
        raise JudgeUnavailableError(msg)

    def _post(self, payload: bytes) -> tuple[int, bytes]:
        until = time.monotonic() + self._timeout
        connection = (
            http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=ssl.create_default_context()
            )
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        )
        try:
            connection.request("POST", self._path, payload, self._headers())
            _give_until(connection, until)
            response = connection.getresponse()
            chunks, size = [], 0
            while chunk := response.read1(65536):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    msg = (
                        f"The {self._whose} at {self._host}:{self._port} said more than {MAX_BYTES >> 20} MB."
                    )
                    raise JudgeUnavailableError(msg)
                _give_until(connection, until)
            return response.status, b"".join(chunks)
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key_env:
            key = os.environ.get(self._key_env)
            if not key:
                msg = (
                    f"The key of the {self._whose} is not here: the variable {self._key_env} is not set, "
                    f"or not let through with --env {self._key_env}."
                )
                raise JudgeUnavailableError(msg)
            headers["Authorization"] = f"Bearer {key}"
        return headers


def _give_until(connection: http.client.HTTPConnection, until: float) -> None:
    """Leave the connection only the time that is left; a server that drips would else never end."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if isinstance(connection.sock, socket.socket):
        connection.sock.settimeout(left)


def _reply(said: bytes, whose: str) -> Reply:
    """Read a chat completion; what is none is no answer, and is not asked for again."""
    try:
        content: Any = json.loads(said)
        message = content["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        msg = f"The server of the {whose} answered with something that is no chat completion."
        raise JudgeUnavailableError(msg) from None
    usage = content.get("usage") if isinstance(content.get("usage"), dict) else {}
    return Reply(
        message if isinstance(message, str) else "",
        content["model"] if isinstance(content.get("model"), str) else "",
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
