"""Native code, which raises no audit event."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pathlib
import socket
import sys

from canary_base import (
    UNSEEN,
    Canary,
    touch,
    way,
)

# Loaded with the module, as a library of an agent would be: in a case nothing more is to be loaded.
LIBC = ctypes.CDLL(None, use_errno=True)
_ALL = (
    LIBC.system,
    LIBC.connect,
    LIBC.socket,
    LIBC.sendto,
    LIBC.creat,
    LIBC.fork,
    LIBC.execv,
    LIBC.mkdir,
    LIBC.close,
)
_MORE = LIBC.shm_open, LIBC.pwrite, LIBC.waitpid, LIBC.syscall


@way("invalid", r"load native code")
def native_system(canary: Canary) -> None:
    ctypes.CDLL(None).system(f"echo touched > {canary.path}".encode())


@way("invalid", r"load native code")
def native_connect(canary: Canary) -> None:
    _native_connect(canary)


def _native_connect(canary: Canary) -> int:
    libc = ctypes.CDLL(None)
    address = (
        socket.AF_INET.to_bytes(2, sys.byteorder)
        + canary.port.to_bytes(2, "big")
        + bytes([127, 0, 0, 1])
        + bytes(8)
    )
    return libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))


@way(*UNSEEN)
def native_file(canary: Canary) -> None:
    LIBC.close(LIBC.creat(canary.path.encode(), 0o600))


@way(*UNSEEN)
def native_directory(canary: Canary) -> None:
    LIBC.mkdir(canary.path.encode(), 0o700)


@way(*UNSEEN)
def native_shell(canary: Canary) -> None:
    LIBC.system(f"echo touched > {canary.path}".encode())


def _address(canary: Canary) -> bytes:
    family = int(socket.AF_INET).to_bytes(2, sys.byteorder)
    return family + canary.port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)


@way(*UNSEEN)
def native_tcp(canary: Canary) -> None:
    descriptor = LIBC.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    LIBC.connect(descriptor, _address(canary), 16)
    LIBC.close(descriptor)


@way(*UNSEEN)
def native_udp(canary: Canary) -> None:
    descriptor = LIBC.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    LIBC.sendto(descriptor, b"touched", 7, 0, _address(canary), 16)
    LIBC.close(descriptor)


@way(*UNSEEN)
def native_unix_socket(canary: Canary) -> None:
    address = int(socket.AF_UNIX).to_bytes(2, sys.byteorder) + canary.unix.encode() + b"\0"
    descriptor = LIBC.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
    LIBC.connect(descriptor, address, len(address))
    LIBC.close(descriptor)


@way(*UNSEEN)
def native_fork(canary: Canary) -> None:
    child = LIBC.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            touch(canary.path)
        LIBC.syscall(231 if os.uname().machine == "x86_64" else 94, 0)
    LIBC.waitpid(child, None, 0)


@way(*UNSEEN)
def native_program(canary: Canary) -> None:
    # A file that is nowhere is executed where Landlock has no rule for it.
    program = os.memfd_create("program", 0)
    os.write(program, f"#!/bin/sh\necho touched > {canary.path}\n".encode())
    path = f"/proc/self/fd/{program}".encode()
    LIBC.execv(path, (ctypes.c_char_p * 2)(path, None))
    os.close(program)


@way(*UNSEEN)
def native_shared_memory(canary: Canary) -> None:
    descriptor = LIBC.shm_open(canary.shared.encode(), os.O_RDWR, 0)
    LIBC.pwrite(descriptor, b"\1", 1, 0)
    LIBC.close(descriptor)


@way(*UNSEEN)
def native_by_a_module_that_is_imported(canary: Canary) -> None:
    scratch = os.environ["TMPDIR"]
    text = f"import ctypes\nctypes.CDLL(None).creat({canary.path.encode()!r}, 0o600)\n"
    pathlib.Path(scratch, "native_module.py").write_text(text)
    sys.path.insert(0, scratch)
    sys.modules.pop("native_module", None)
    try:
        importlib.import_module("native_module")
    finally:
        sys.path.remove(scratch)


@way(*UNSEEN)
def native_by_cffi(canary: Canary) -> None:
    import cffi

    interface = cffi.FFI()
    interface.cdef("int creat(const char *path, unsigned mode);")
    interface.dlopen(None).creat(canary.path.encode(), 0o600)


@way("errored|complete", r"")
def native_query(canary: Canary) -> None:
    import duckdb

    duckdb.sql(f"COPY (SELECT 1) TO '{canary.path}'")


@way("errored|complete", r"")
def native_database(canary: Canary) -> None:
    import duckdb

    duckdb.connect(canary.path).close()


@way("errored|complete", r"")
def native_file_system(canary: Canary) -> None:
    import pyarrow.fs

    with pyarrow.fs.LocalFileSystem().open_output_stream(canary.path) as file:
        file.write(b"touched")


@way("errored|complete|invalid", r"")
def native_table(canary: Canary) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"x": [1]}), canary.path)


@way("errored|complete", r"")
def native_history(canary: Canary) -> None:
    import readline

    readline.write_history_file(canary.path)


@way("errored|complete|invalid", r"")
def native_remote_file(canary: Canary) -> None:
    import pyarrow.fs

    where = f"http://127.0.0.1:{canary.port}"
    system = pyarrow.fs.S3FileSystem(
        endpoint_override=where, anonymous=True, request_timeout=0.2, connect_timeout=0.2
    )
    with contextlib.suppress(OSError):
        system.get_file_info("bucket/key")
