"""Wrapped clients of a server that plays both providers, which lies beside this."""

import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import anthropic
import openai
import pytest

import auditlog

sys.path.insert(0, str(Path(__file__).parent))
from played_providers import Provider


@pytest.fixture(scope="module")
def address():
    """Where the server is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def gpt(address):
    """A wrapped OpenAI client."""
    with openai.OpenAI(api_key="sk-none", base_url=f"{address}/v1", max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
def claude(address):
    """A wrapped Anthropic client."""
    with anthropic.Anthropic(api_key="none", base_url=address, max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
async def gpt_later(address):
    """A wrapped asynchronous OpenAI client."""
    async with openai.AsyncOpenAI(api_key="sk-none", base_url=f"{address}/v1", max_retries=0) as client:
        yield auditlog.wrap(client)


@pytest.fixture
async def claude_later(address):
    """A wrapped asynchronous Anthropic client."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=address, max_retries=0) as client:
        yield auditlog.wrap(client)
