"""Importing is all of a file or nothing of it, and never twice."""

import gzip
import itertools
import json
import zlib
from importlib.metadata import EntryPoint

import pytest

from auditlog import importers
from auditlog.errors import ImportFileError, StoreError
from auditlog.importers import Shape, detect, import_file, import_into, reading, shape_names


class Writer:
    """Takes records up to a number of them."""

    def __init__(self, room=10**6):
        self.payloads = []
        self.room = room

    def append(self, payload):
        """Keep a record while there is room."""
        if len(self.payloads) == self.room:
            return False
        self.payloads.append(payload)
        return True


@pytest.fixture
def write(tmp_path):
    """Give a function that writes a file, and gives its path."""

    def make(content, name="file.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return make


def refusal(path, **options):
    """Give the message with which a file is refused, after making sure that nothing was written."""
    writer = Writer()
    with pytest.raises(ImportFileError) as caught:
        import_file(path, writer, **options)
    assert [] == writer.payloads
    return str(caught.value)


def test_the_same_file_twice_brings_nothing_new(store, write, tau2_document):
    """The second import reports what is there already, and the store holds each span once."""
    path = write(tau2_document)
    first = import_into(store, path, tags={"arm": "base"})
    again = import_into(store, path, tags={"arm": "base"})
    assert (1, 7, 0, 0) == (first.conversations, first.spans, first.known_conversations, first.known_spans)
    assert (0, 0, 1, 7) == (again.conversations, again.spans, again.known_conversations, again.known_spans)
    assert (1, 7) == (store.count(), len(next(store.conversations()).spans))


def test_the_same_file_twice_brings_nothing_new_after_sealing(store, write, tau2_document):
    """What was sealed in between counts as there, too."""
    path = write(tau2_document)
    import_into(store, path)
    store.writer().close()
    store.seal()
    assert 0 == import_into(store, path).spans


def test_the_same_file_under_another_tag_is_another_set(store, write, tau2_document):
    """Tags are part of what a conversation is, so that one file can stand for both arms."""
    path = write(tau2_document)
    import_into(store, path, tags={"arm": "base"})
    assert 1 == import_into(store, path, tags={"arm": "cand"}).conversations
    assert [1, 1] == [store.count("tag.arm:base"), store.count("tag.arm:cand")]


def test_a_store_that_takes_no_more_says_how_far_it_came_and_the_rest_can_follow(write, tau2_document):
    """After a broken import, importing again adds only what is missing."""
    path, writer = write(tau2_document), Writer(room=3)
    with pytest.raises(StoreError, match="3 of 7 records"):
        import_file(path, writer)
    held = [importers.entry_of(payload) for payload in writer.payloads]
    rest = import_file(path, Writer(), known=lambda keys: {(e["trace"], e["span"]) for e in held})
    assert (4, 3) == (rest.spans, rest.known_spans)


def test_progress_ends_at_the_number_of_records(write, tau2_document):
    """A progress bar is told of the last record."""
    seen = []
    import_file(write(tau2_document), Writer(), progress=lambda done, total: seen.append((done, total)))
    assert (7, 7) == seen[-1]


def test_gzip_is_known_by_content(write, tau2_document):
    """A gzipped file is unzipped whatever it is called."""
    content = gzip.compress(json.dumps(tau2_document).encode())
    assert 7 == import_file(write(content, "results.json"), Writer()).spans


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"not json", "not JSON"),
        (b'{"info": {}, "simulations": [{"messages"', "cut off"),
        (b'{"resourceSpans": []}\n{"resourceSpans": [{"re', "line 2 of 2"),
        (b"\x1f\x8b broken", "does not unzip"),
        (gzip.compress(b'{"a": 1}' * 100)[:-20], "cut off or damaged"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "of no shape"),
        (b"null", "of no shape"),
        (b'{"a": 1}\n{"b": 2}', "of no shape"),
        (b'{"resourceLogs": []}', "OpenTelemetry logs"),
        (b'{"resourceSpans": []}', "without anything to import"),
        (b'{"info": {}, "simulations": []}', "without anything to import"),
        (b'{"info": {}, "simulations": 7}', "without anything to import"),
        (b'{"info": {}, "simulations": [{}]}', "Simulation 0 has no messages"),
    ],
    ids=itertools.count(),
)
def test_a_file_that_cannot_be_imported_is_refused_in_words(write, content, words):
    """Every unusable file gives one sentence that names it, and writes nothing."""
    message = refusal(write(content))
    assert words in message
    assert "file.json" in message


def test_an_unreadable_path_is_refused(tmp_path):
    """A file that is not there, and a directory, say so."""
    assert "No such file" in refusal(tmp_path / "none.json")
    assert "directory" in refusal(tmp_path)


def test_a_refusal_quotes_nothing_of_the_file(write):
    """Whose secrets stand in a broken file is not told to whoever reads the log."""
    assert "hunter2" not in refusal(write(b'{"password": "hunter2", '))


def test_a_bomb_is_not_unzipped(write, monkeypatch):
    """A small file that unzips to more than the limit is refused."""
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    packer = zlib.compressobj(wbits=31)
    assert "holds more than" in refusal(write(packer.compress(b"[" + b" " * 100_000) + packer.flush()))


def test_deep_nesting_is_refused(write, tau2_document):
    """Content that is nested more deeply than a record can be is an error, and not a crash."""
    text = json.dumps(tau2_document).replace('{"id": 7}', "[" * 600 + "]" * 600)
    assert "nested" in refusal(write(text.encode()))


def test_the_nearest_shape_is_named(write):
    """A file that is nearly of a shape is told which, and what it lacks."""
    message = refusal(write({"simulations": [], "tasks": []}))
    assert "nearest is τ²-bench results (tau2); it has `info` there" in message
    assert "tau1" in message
    assert "otlp-json" in message


def test_a_wanted_format_that_does_not_fit_or_exist_is_refused(write, tau2_document):
    """A format that is asked for is checked against the file, and its name against the known ones."""
    path = write(tau2_document)
    assert "is not τ-bench results (tau1)" in refusal(path, format="tau1")
    assert "The nearest is 'tau2'" in refusal(path, format="tau3")


def test_other_packages_add_shapes(monkeypatch, write):
    """An entry point of the group `auditlog.importers` is asked for files that are of none of our shapes."""
    made = Shape(
        name="toy", title="toys", keys=frozenset({"toys"}), records=lambda source, tags, skip: iter(())
    )
    monkeypatch.setattr(detect, "TOY", made, raising=False)
    points = [EntryPoint("toy", f"{detect.__name__}:TOY", detect.GROUP)]
    monkeypatch.setattr(detect, "entry_points", lambda group: points)
    assert [*(shape.name for shape in detect.SHAPES), "toy"] == shape_names()
    assert "toys (toy) without anything to import" in refusal(write({"toys": []}))
    points[0] = EntryPoint("toy", "no_such_module:TOY", detect.GROUP)
    assert "importer 'toy' (no_such_module:TOY) cannot be loaded" in refusal(write({"toys": []}))
    points[0] = EntryPoint("toy", "json:dumps", detect.GROUP)
    assert "must be an auditlog.importers.Shape" in refusal(write({"toys": []}))
