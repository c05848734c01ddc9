"""Files, databases among them."""

from __future__ import annotations

import _imp
import codecs
import importlib
import importlib.util
import io
import logging
import os
import pathlib
import shutil
import sqlite3
import ssl
import sys

from canary_base import (
    Canary,
    touch,
    way,
)

WRITES = "invalid", r"write the file "


@way("invalid", r"write the file .*/canary")
def file_open(canary: Canary) -> None:
    touch(canary.path)


@way("invalid", r"write the file .*/canary")
def file_pathlib(canary: Canary) -> None:
    pathlib.Path(canary.path).write_text("touched", encoding="utf-8")


@way("invalid", r"write the file .*/canary")
def file_os_open(canary: Canary) -> None:
    os.close(os.open(canary.path, os.O_CREAT | os.O_WRONLY))


@way("invalid", r"rename ")
def file_moved_there(canary: Canary) -> None:
    mine = pathlib.Path(os.environ["TMPDIR"]) / "mine"
    mine.write_text("touched", encoding="utf-8")
    shutil.move(mine, canary.path)


@way("invalid", r"write the file .*/link")
def file_through_link(canary: Canary) -> None:
    link = pathlib.Path(os.environ["TMPDIR"]) / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(canary.path)
    link.write_text("touched", encoding="utf-8")


@way("invalid", r"write the file /proc/self/fd/\d+/canary")
def file_in_open_directory(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    directory = os.open(os.path.dirname(canary.path), os.O_RDONLY)
    os.close(os.open(os.path.basename(canary.path), os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    os.close(directory)


@way("invalid", r"mkdir .*/canary")
def file_directory(canary: Canary) -> None:
    os.mkdir(canary.path)


@way("invalid", r"make a pipe file")
def file_fifo(canary: Canary) -> None:
    os.mkfifo(canary.path)


@way("invalid", r"open the database .*/canary")
def database(canary: Canary) -> None:
    connection = sqlite3.connect(canary.path)
    connection.execute("CREATE TABLE touched (x)")
    connection.close()


@way("invalid", r"open the database file:.*/canary")
def database_by_uri(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    connection = sqlite3.connect(f"file:{canary.path}", uri=True)
    connection.execute("CREATE TABLE touched (x)")
    connection.close()


@way("invalid", r"open the database file:.*/canary")
def database_attached_by_uri(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    connection = sqlite3.connect(":memory:", uri=True)
    connection.execute(f"ATTACH DATABASE 'file:{canary.path}' AS other")
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way("invalid", r"open a database that it attaches")
def database_attached(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH DATABASE ? AS other", (canary.path,))
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way("invalid", r"open the database .*/canary")
def database_vacuumed_into(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE touched (x)")
    connection.execute("VACUUM INTO ?", (canary.path,))
    connection.close()


@way("invalid", r"make a device file")
def file_node(canary: Canary) -> None:
    os.mknod(canary.path)


class SlyPath(os.PathLike):
    """A path that acts when it is asked what it is."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        touch(self.path)
        return os.path.join(os.environ["TMPDIR"], "mine")


@way("invalid", r"write the file (a SlyPath|.*/canary)")
def file_by_sly_path(canary: Canary) -> None:
    os.close(os.open(SlyPath(canary.path), os.O_CREAT | os.O_WRONLY))


@way(*WRITES)
def file_bare(canary: Canary) -> None:
    io.FileIO(canary.path, "w").close()


@way(*WRITES)
def file_encoded(canary: Canary) -> None:
    codecs.open(canary.path, "w", "utf-8").close()


@way(*WRITES)
def file_log(canary: Canary) -> None:
    logging.FileHandler(canary.path).close()


@way(*WRITES)
def file_keys_of_tls(canary: Canary) -> None:
    ssl.create_default_context().keylog_filename = canary.path


@way(*WRITES)
def file_copy(canary: Canary) -> None:
    shutil.copyfile(__file__, canary.path)


@way(*WRITES)
def file_array(canary: Canary) -> None:
    import numpy as np

    np.arange(3).tofile(canary.path)


@way(*WRITES)
def file_array_in_memory(canary: Canary) -> None:
    import numpy as np

    np.memmap(canary.path, mode="w+", shape=(3,)).flush()


@way(*WRITES)
def file_through_the_root(canary: Canary) -> None:
    touch(f"/proc/self/root{canary.path}")


@way(*WRITES)
def file_from_the_working_directory(canary: Canary) -> None:
    here = os.getcwd()
    os.chdir(os.path.dirname(canary.path))
    try:
        touch(os.path.basename(canary.path))
    finally:
        os.chdir(here)


@way("invalid", r"link .*")
def file_link(canary: Canary) -> None:
    mine = pathlib.Path(os.environ["TMPDIR"]) / "linked"
    mine.touch()
    os.link(mine, canary.path)


@way("invalid", r"symlink .*/canary")
def file_symbolic_link(canary: Canary) -> None:
    os.symlink("/", canary.path)


@way("invalid", r"rename ")
def file_renamed_into_an_open_directory(canary: Canary) -> None:
    mine = pathlib.Path(os.environ["TMPDIR"]) / "renamed"
    mine.touch()
    directory = os.open(os.path.dirname(canary.path), os.O_RDONLY)
    try:
        os.rename(mine, os.path.basename(canary.path), dst_dir_fd=directory)
    except OSError:
        # Another file system: what counts is that it was tried.
        shutil.move(mine, canary.path)
    finally:
        os.close(directory)


@way("invalid", r"load the module posix a second time")
def file_by_a_second_module(canary: Canary) -> None:
    import posix

    del sys.modules["posix"]
    try:
        _made_with(importlib.import_module("posix"), canary)
    finally:
        sys.modules["posix"] = posix


@way("invalid", r"load the module posix a second time")
def file_by_a_module_of_ones_own(canary: Canary) -> None:
    spec = importlib.util.find_spec("posix")
    _made_with(_imp.create_builtin(spec), canary)


def _made_with(module: object, canary: Canary) -> None:
    module.mknod(canary.path)  # type: ignore[attr-defined]


@way(*WRITES)
def file_by_a_module_that_acts(canary: Canary) -> None:
    scratch = os.environ["TMPDIR"]
    pathlib.Path(scratch, "acting_module.py").write_text(f"open({canary.path!r}, 'w').close()")
    sys.path.insert(0, scratch)
    try:
        importlib.import_module("acting_module")
    finally:
        sys.path.remove(scratch)


class LyingText(str):  # noqa: SLOT000
    """A path that says that it is another, and acts when it is asked."""

    def startswith(self, *_: object) -> bool:
        """Act."""
        touch(str.__str__(self))
        return True

    def __str__(self) -> str:
        return os.path.join(os.environ["TMPDIR"], "mine")

    __fspath__ = __repr__ = __str__


@way(*WRITES)
def file_by_text_that_lies(canary: Canary) -> None:
    os.close(os.open(LyingText(canary.path), os.O_CREAT | os.O_WRONLY))


@way(*WRITES)
def file_with_other_functions_for_paths(canary: Canary) -> None:
    mine = os.path.join(os.environ["TMPDIR"], "mine")
    real = os.path.realpath, os.fsdecode, os.path.join
    os.path.realpath = os.fsdecode = os.path.join = lambda *_a, **_k: mine  # type: ignore[assignment]
    try:
        touch(canary.path)
    finally:
        os.path.realpath, os.fsdecode, os.path.join = real


@way("invalid", r"open the database .*/canary")
def database_of_the_class(canary: Canary) -> None:
    connection = sqlite3.Connection(":memory:")
    connection.execute(f"ATTACH DATABASE '{canary.path}' AS other")
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way("invalid", r"open the database .*/canary")
def database_without_an_authorizer(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:")
    connection.set_authorizer(None)
    connection.execute(f"ATTACH DATABASE '{canary.path}' AS other")
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way("invalid", r"open the database .*/canary")
def database_with_a_lenient_authorizer(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:", factory=sqlite3.Connection)
    connection.set_authorizer(lambda *_: sqlite3.SQLITE_OK)
    connection.execute(f"ATTACH DATABASE '{canary.path}' AS other")
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


class EqualToAnything:
    """A path that says that it is a database in memory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        """Give the path."""
        return self.path

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@way("invalid", r"open the database a EqualToAnything")
def database_that_says_that_it_is_in_memory(canary: Canary) -> None:
    connection = sqlite3.connect(EqualToAnything(canary.path))
    connection.execute("CREATE TABLE touched (x)")
    connection.close()


class OtherEachTime(type(pathlib.PurePath())):  # type: ignore[misc]
    """A path that is another when it is asked again."""

    __module__ = "pathlib"

    def __str__(self) -> str:
        before, self.__dict__["asked"] = self.__dict__.get("asked", False), True
        return os.path.join(os.environ["TMPDIR"], "mine") if before else self.__dict__["real"]

    __fspath__ = __str__


@way("invalid", r"mkdir a OtherEachTime|mkdir .*/canary")
def directory_that_is_another_each_time(canary: Canary) -> None:
    path = OtherEachTime("/")
    path.__dict__["real"] = canary.path
    os.mkdir(path)
