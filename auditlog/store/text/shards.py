"""The parts of the full-text index: which segments each holds, how they are made and let go.

The rules:

1. A shard is a tantivy index of some segments, in a directory of its own; it is written once, and then only read or deleted.
   A list beside them, replaced as a whole, says which shards count.
2. One process makes shards at a time, under a lock. A crash leaves directories that no list names; the next run removes them.
3. A document is what one segment holds of one conversation, replays left out: the strings of its content, each once.
4. A segment that compacting merged is held by whatever shard held what it was made of. One that is pruned or erased takes its
   shard with it.
5. Small shards are made into larger ones, so that there are never many.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.fold import fold
from auditlog.store.text import vocabulary
from auditlog.store.text.needle import FIELD, analyzer

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.ledger.ledger import Segment

FORMAT = 2
COLUMNS = ("input", "output", "input_messages", "output_messages", "documents")
"""The content that people search."""

_HEAP = 256 << 20
_LONGEST = 60_000
"""Bytes of a string that is cut into words; what is longer is read whenever something is searched for."""
_SHARD_ROWS = 3_000_000
_SMALL_ROWS = 100_000
_MOST_SMALL = 8
_EXPONENT = re.compile(r"(?:^|[\[:,])-?[0-9.]+e")
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of the index."""

    name: str
    segments: tuple[tuple[str, str], ...]
    """Path and SHA-256 of what it holds."""
    rows: int


def directory_of(layout: Layout) -> Path:
    """Give the place of a store's full-text index."""
    return layout.cache / "text"


def exists(layout: Layout) -> bool:
    """Say whether somebody asked for a full-text index."""
    return _list_path(layout).is_file()


def listed(layout: Layout, store_id: str) -> list[Shard]:
    """Read which shards count; none where there is no index that can be used."""
    try:
        if directory_of(layout).is_symlink():
            return []
        descriptor = os.open(_list_path(layout), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            found = orjson.loads(file.read())
        if found["v"] != FORMAT or found["store"] != store_id:
            return []
        shards = [
            Shard(
                s["name"], tuple((str(path), str(digest)) for path, digest in s["segments"]), int(s["rows"])
            )
            for s in found["shards"]
        ]
        return shards if all(_NAME.fullmatch(shard.name) for shard in shards) else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def build(
    layout: Layout,
    store_id: str,
    segments: Sequence[Segment],
    *,
    wait: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Bring the index up to these segments; say whether it was, rather than another process at it.

    Raises:
        OSError, StoreError: it cannot be written, or a segment not be read.
    """
    directory = directory_of(layout)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.is_symlink():
        raise OSError(0, f"{directory} is a symlink")
    with _locked(directory, wait=wait) as held:
        if not held:
            return False
        _Build(layout, store_id, segments, progress or (lambda _done, _total: None)).run()
        return True


class _Build:
    """One run, under the lock."""

    def __init__(
        self, layout: Layout, store_id: str, segments: Sequence[Segment], progress: Callable[[int, int], None]
    ) -> None:
        self._layout = layout
        self._id = store_id
        self._live = {(segment.path, segment.sha256): segment for segment in segments}
        self._progress = progress

    def run(self) -> None:
        kept = [s for s in listed(self._layout, self._id) if all(one in self._live for one in s.segments)]
        small = [shard for shard in kept if shard.rows < _SMALL_ROWS]
        if len(small) >= _MOST_SMALL:
            kept = [shard for shard in kept if shard not in small]
        # What no longer counts goes first: it may hold what was erased.
        self._list(kept)
        self._clear(kept)
        held = {one for shard in kept for one in shard.segments}
        fresh = [segment for key, segment in self._live.items() if key not in held]
        total, done = sum(segment.rows for segment in fresh), 0
        for some in _grouped(fresh):
            rows = sum(segment.rows for segment in some)
            shard = Shard(uuid.uuid4().hex, tuple((s.path, s.sha256) for s in some), rows)
            self._write(shard, some, done, total)
            kept.append(shard)
            self._list(kept)
            done += rows

    def _write(self, shard: Shard, segments: Sequence[Segment], done: int, total: int) -> None:
        import tantivy

        place = directory_of(self._layout) / shard.name
        place.mkdir(mode=0o700)
        index = tantivy.Index(schema(), path=str(place))
        index.register_tokenizer(FIELD, analyzer())
        writer = index.writer(heap_size=_HEAP, num_threads=1)
        for segment in segments:
            for name, strings, is_unread in documents(self._layout.root / segment.path):
                document = tantivy.Document(conversation=[name])
                document.add_text(FIELD, '"'.join(strings))
                if is_unread:
                    document.add_text("unread", "1")
                writer.add_document(document)
            done += segment.rows
            self._progress(done, total)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        vocabulary.write(place, index.searcher(), FIELD)

    def _list(self, shards: Sequence[Shard]) -> None:
        path = _list_path(self._layout)
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        told = {"v": FORMAT, "store": self._id, "shards": [asdict(shard) for shard in shards]}
        draft.write_bytes(orjson.dumps(told))
        draft.replace(path)

    def _clear(self, kept: Sequence[Shard]) -> None:
        names = {shard.name for shard in kept}
        for place in directory_of(self._layout).iterdir():
            if _NAME.fullmatch(place.name) and place.name not in names:
                shutil.rmtree(place, ignore_errors=True)


def schema() -> Any:
    """Give the schema of a shard."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("conversation", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(FIELD, tokenizer_name=FIELD, index_option="position")
    builder.add_text_field("unread", tokenizer_name="raw", index_option="basic")
    return builder.build()


def documents(path: Path) -> Iterator[tuple[str, set[str], bool]]:
    """Give for each conversation of a segment its id, the strings of its content, and whether some are not among them.

    Raises:
        StoreError: the file is damaged.
    """
    from auditlog.sealing.segment import read_tables

    name, strings, is_unread = "", set[str](), False
    for table in read_tables(path, ("conversation_id", "replay_run_id", "stream", *COLUMNS)):
        columns = [column.to_pylist() for column in table.columns]
        for conversation, run, stream, *contents in zip(*columns, strict=True):
            if run is not None or conversation is None:
                continue
            if conversation != name:
                if name:
                    yield name, strings, is_unread
                name, strings, is_unread = conversation, set(), False
            is_unread |= add(strings, contents, is_stream=bool(stream))
    if name:
        yield name, strings, is_unread


def add(strings: set[str], contents: Sequence[bytes | None], *, is_stream: bool) -> bool:
    """Add the strings of a span's content; say whether some of it is not among them.

    Args:
        strings: the texts between quotation marks; what recurs in a conversation recurs as whole strings.
        contents: as `COLUMNS` has them.
        is_stream: whether the output is what came chunk by chunk.
    """
    try:
        texts = {content.decode() for content in contents if content}
        if is_stream and contents[1]:
            texts.add(_joined(contents[1]))
    except ValueError:
        # The database shows the bytes of what is no UTF-8, reads some that is no JSON, and writes some numbers otherwise.
        return True
    is_unread = False
    for text in texts:
        for string in fold(text).split('"'):
            if len(string) > _LONGEST // 4 and len(string.encode()) > _LONGEST:
                is_unread = True
            else:
                strings.add(string)
    return is_unread


def _joined(content: bytes) -> str:
    """Put the chunks of a stream together, as people look for what it said."""
    chunks = orjson.loads(content)
    if not isinstance(chunks, list):
        return ""
    texts = []
    for chunk in chunks:
        if isinstance(chunk, str):
            texts.append(chunk)
        elif chunk is not None:
            texts.append(orjson.dumps(chunk).decode())
            if _EXPONENT.search(texts[-1]):
                raise ValueError
    return "".join(texts)


def _grouped(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    some: list[Segment] = []
    rows = 0
    for segment in segments:
        some.append(segment)
        rows += segment.rows
        if rows >= _SHARD_ROWS:
            yield some
            some, rows = [], 0
    if some:
        yield some


def _list_path(layout: Layout) -> Path:
    return directory_of(layout) / "shards.json"


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool) -> Iterator[bool]:
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory / "lock", flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
