"""The network, below any decorator."""

from __future__ import annotations

import _socket
import asyncio
import contextlib
import ftplib
import logging.handlers
import smtplib
import socket
import ssl
import threading
import urllib.request
import xmlrpc.client

from canary_base import (
    Canary,
    way,
)


@way("invalid", r"look up 127\.0\.0\.1:\d+")
def network_urllib(canary: Canary) -> None:
    urllib.request.urlopen(canary.url).read()


@way("invalid", r"look up 127\.0\.0\.1:\d+")
def network_urllib_swallowed(canary: Canary) -> None:
    try:
        urllib.request.urlopen(canary.url).read()
    except:  # noqa: E722
        pass


@way("invalid", r"look up 127\.0\.0\.1:\d+")
def network_httpx(canary: Canary) -> None:
    import httpx

    httpx.get(canary.url)


@way("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+")
async def network_httpx_async(canary: Canary) -> None:
    import httpx

    async with httpx.AsyncClient() as client:
        await client.get(canary.url)


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
def network_socket(canary: Canary) -> None:
    with socket.socket() as raw:
        raw.connect(("127.0.0.1", canary.port))
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
def network_socket_in_thread(canary: Canary) -> None:
    thread = threading.Thread(target=network_socket, args=(canary,))
    thread.start()
    thread.join()


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
def network_connect_ex(canary: Canary) -> None:
    with socket.socket() as raw:
        raw.connect_ex(("127.0.0.1", canary.port))


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
async def network_asyncio(canary: Canary) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", canary.port)
    writer.close()


@way("invalid", r"open a unix socket")
def network_unix(canary: Canary) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(canary.unix)


@way("invalid", r"open a UDP socket")
def network_udp(canary: Canary) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.sendto(b"touched", ("127.0.0.1", canary.port))


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
def network_bare_socket(canary: Canary) -> None:
    with contextlib.closing(_socket.socket()) as raw:
        raw.connect(("127.0.0.1", canary.port))


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
def network_socket_of_a_descriptor(canary: Canary) -> None:
    with socket.socket() as raw, socket.fromfd(raw.fileno(), socket.AF_INET, socket.SOCK_STREAM) as other:
        other.connect(("127.0.0.1", canary.port))


@way("invalid", r"connect to 127\.0\.0\.1:\d+")
async def network_loop_connect(canary: Canary) -> None:
    with socket.socket() as raw:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", canary.port))


@way("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+")
def network_tls(canary: Canary) -> None:
    with contextlib.suppress(ssl.SSLError, OSError):
        ssl.get_server_certificate(("127.0.0.1", canary.port), timeout=1)


@way("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+")
def network_mail(canary: Canary) -> None:
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtplib.SMTP("127.0.0.1", canary.port, timeout=0.2)


@way("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+")
def network_files(canary: Canary) -> None:
    with contextlib.suppress(*ftplib.all_errors):
        ftplib.FTP().connect("127.0.0.1", canary.port, timeout=0.2)


@way("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+")
def network_remote_procedure(canary: Canary) -> None:
    xmlrpc.client.ServerProxy(canary.url).act()


@way("invalid", r"open a UDP socket")
def network_udp_message(canary: Canary) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.sendmsg([b"touched"], [], 0, ("127.0.0.1", canary.port))


@way("invalid", r"open a UDP socket")
async def network_udp_loop(canary: Canary) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", canary.port)
    )
    transport.sendto(b"touched")
    await asyncio.sleep(0.01)
    transport.close()


@way("invalid", r"open a unix socket")
def network_unix_bare(canary: Canary) -> None:
    with contextlib.closing(_socket.socket(socket.AF_UNIX)) as raw:
        raw.connect(canary.unix)


@way("invalid", r"open a unix socket")
def network_unix_listener(canary: Canary) -> None:
    from multiprocessing.connection import Client

    Client(canary.unix).close()


@way("invalid", r"open a unix socket")
async def network_unix_loop(canary: Canary) -> None:
    _, writer = await asyncio.open_unix_connection(canary.unix)
    writer.close()


@way("invalid", r"open a unix socket")
def network_system_log(canary: Canary) -> None:
    logging.handlers.SysLogHandler(canary.unix).close()


@way("invalid", r"look up 127\.0\.0\.1:\d+")
def network_with_another_resolver(canary: Canary) -> None:
    socket.getaddrinfo, real = _socket.getaddrinfo, socket.getaddrinfo  # type: ignore[assignment]
    try:
        urllib.request.urlopen(canary.url).read()
    finally:
        socket.getaddrinfo = real


@way("invalid", r"connect to an address of type|connect to 127\.0\.0\.1")
def network_text_that_lies(canary: Canary) -> None:
    class Host(str):  # noqa: SLOT000
        def __hash__(self) -> int:
            return 0

        def __eq__(self, other: object) -> bool:
            return True

    with socket.socket() as raw:
        raw.connect((Host("127.0.0.1"), canary.port))
