"""The index of words names whatever a search through everything finds, at every price that it is asked for."""

import itertools
import json

import duckdb
import orjson
import pytest
import tantivy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlog.filters.language import Match, Pattern
from auditlog.filters.sql import spans_where
from auditlog.store.text import needle, shards, vocabulary

SIGNS = st.sampled_from(
    [
        "refund",
        "re",
        "Fund",
        "charge",
        "it",
        "order7",
        "a",
        "b",
        "é",
        "É",
        "Σ",
        "ß",
        "İ",
        "日本",
        "7",
        "1e5",
        "x1",
        "u001f",
        "n",
    ]
)
BETWEEN = st.sampled_from(
    [
        " ",
        "  ",
        "",
        "-",
        "_",
        ".",
        '"',
        "\\",
        "\n",
        "\t",
        "\x1f",
        "\x00",
        "'",
        "%",
        ":",
        ",",
        "{",
        "[",
        "/",
        "\u2028",
        "\ufffd",
        '\\"',
        "́",
    ]
)
TEXTS = st.lists(SIGNS | BETWEEN, max_size=9).map("".join)
NUMBERS = st.integers(-20, 20) | st.sampled_from([2**40, 0.5, 1e22, 1.5e-7, -0.0])
VALUES = st.recursive(
    TEXTS | NUMBERS | st.sampled_from([None, True]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS, inner, max_size=3)
        # What a tool gives back is often JSON inside of a string.
        | inner.map(lambda value: json.dumps(value, ensure_ascii=False))
    ),
    max_leaves=6,
)
CONTENTS = (
    VALUES.map(orjson.dumps)
    | st.lists(TEXTS | VALUES, max_size=4).map(orjson.dumps)
    # What was imported may be written otherwise, or be no JSON, or no text at all.
    | VALUES.map(lambda value: json.dumps(value, indent=1).encode())
    | TEXTS.map(str.encode)
    | st.sampled_from([b'["re", NaN]', b'["fu\xe9 nd "]', b'["a", 1E22]', b'"\xff\\"'])
)


@st.composite
def spans(draw):
    """Make the content of one span: its columns, and whether the output is a stream."""
    return [draw(st.none() | CONTENTS) for _ in shards.COLUMNS], draw(st.booleans())


@st.composite
def wanted(draw, texts):
    """Cut a text to search for out of what is there, or make one up."""

    def piece():
        text = draw(st.sampled_from(texts)) if texts else ""
        first = draw(st.integers(0, len(text)))
        found = text[first : first + draw(st.integers(1, 30))]
        return draw(st.sampled_from([found, found, found.swapcase(), found.replace("refund", "fund")]))

    parts = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return Pattern(tuple(draw(TEXTS) if draw(st.integers(0, 9)) == 0 else piece() for _ in range(parts)))


@pytest.fixture(scope="module")
def engine():
    """Open the database that searches through everything."""
    with duckdb.connect() as opened:
        yield opened


def found_by_reading(engine, term, some):
    """Ask every span as a search without the index does."""
    condition, params = spans_where(term)
    columns = ", ".join(f"coalesce(TRY(decode({c})), CAST({c} AS VARCHAR)) AS {c}" for c in shards.COLUMNS)
    rows = ", ".join(["(?::INT, ?::BOOL" + ", ?::BLOB" * len(shards.COLUMNS) + ")"] * len(some))
    given_rows = [v for n, (contents, stream) in enumerate(some) for v in (n, stream, *contents)]
    sql = (
        f"SELECT n FROM (SELECT n, stream, {columns} FROM (VALUES {rows}) AS t(n, stream, {', '.join(shards.COLUMNS)})) "
        f"WHERE {condition}"
    )
    return {n for (n,) in engine.execute(sql, [*given_rows, *params]).fetchall()}


def indexed(some, place):
    """Index spans as the conversations of a shard."""
    index = tantivy.Index(shards.schema())
    index.register_tokenizer(needle.FIELD, needle.analyzer())
    writer = index.writer(heap_size=15_000_000, num_threads=1)
    for number, (contents, stream) in enumerate(some):
        strings = set()
        document = tantivy.Document(conversation=[str(number)])
        if shards.add(strings, contents, is_stream=stream):
            document.add_text("unread", "1")
        document.add_text(needle.FIELD, '"'.join(strings))
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    vocabulary.write(place, index.searcher(), needle.FIELD)
    return index


def named(index, ways, place):
    """Ask the index at every price."""
    searcher = index.searcher()
    for query in needle.queries(ways, index.schema, lambda word: vocabulary.pattern(place, word)):
        hits = searcher.search(query, limit=100, count=False).hits
        yield {int(searcher.doc(address)["conversation"][0]) for _, address in hits}


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_words_of_a_text_never_miss_it(engine, tmp_path, data):
    """Whatever a search through everything finds, each query of the index names, and no query more than the one before."""
    some = data.draw(st.lists(spans(), min_size=1, max_size=6))
    texts = [text for contents, _ in some for text in _texts(contents)]
    index = indexed(some, tmp_path)
    for _ in range(8):
        term = Match("text", tuple(data.draw(st.lists(wanted(texts), min_size=1, max_size=2))))
        ways = needle.words(term, needle.analyzer())
        if ways is None:
            continue
        found = found_by_reading(engine, term, some)
        names = list(named(index, ways, tmp_path))
        assert names
        for each in names:
            assert found - each == set(), (term, [some[n] for n in found - each])
        for wider, closer in itertools.pairwise(names):
            assert closer <= wider


def _texts(contents):
    """Give what people may copy a text to search for out of: content as it is stored, and as it is shown."""
    for content in contents:
        if not content:
            continue
        text = content.decode("utf-8", "replace")
        yield text
        try:
            value = orjson.loads(content)
        except ValueError:
            continue
        found = [value]
        while found:
            one = found.pop()
            if isinstance(one, str):
                yield one
            elif isinstance(one, list):
                yield "".join(part for part in one if isinstance(part, str))
                found += one
            elif isinstance(one, dict):
                found += [*one, *one.values()]


@pytest.mark.parametrize("size", [None, 0, 5])
def test_where_the_words_are_not_whole_the_dictionary_answers(tmp_path, size):
    """A file of words that is gone or cut short hides nothing."""
    some = [([b'"a refund"', *[None] * 4], False), ([b'"prefund it"', *[None] * 4], False)]
    index = indexed(some, tmp_path)
    path = tmp_path / "words"
    assert [b"a", b"it", b"prefund", b"refund"] == sorted(path.read_bytes().split())
    if size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])
    ways = needle.words(Match("text", (Pattern(("fund",)),)), needle.analyzer())
    assert [{0, 1}] == list(named(index, ways, tmp_path))


def test_a_word_in_the_middle_of_many_is_found_beside_its_neighbours(tmp_path):
    """A phrase whose ends are parts of more words than a query names is still found."""
    some = [([f'"x{n}fund it{n}"'.encode(), *[None] * 4], False) for n in range(150)]
    index = indexed(some, tmp_path)
    ways = needle.words(Match("text", (Pattern(("fund it14",)),)), needle.analyzer())
    *_, closest = named(index, ways, tmp_path)
    assert {14, *range(140, 150)} == closest


def test_parts_of_many_long_words_are_found_where_they_are_too_many_to_name(tmp_path):
    """However many words hold a part, and however long they are, a query can be made of it."""
    for many in (3, 10, 30, 100, 300):
        some = [([f'"{n:019x}fund"'.encode(), *[None] * 4], False) for n in range(many)]
        index = indexed(some, tmp_path)
        ways = needle.words(Match("text", (Pattern(("fund",)),)), needle.analyzer())
        assert [min(many, 100)] == [len(found) for found in named(index, ways, tmp_path)]


def test_signs_between_two_words_make_no_difference_to_the_index(tmp_path):
    """What only looks like the phrase is named and left to its content; words in another order are not."""
    some = [
        ([content, *[None] * 4], False)
        for content in (b'"double charge"', b'"double-charge"', b'"charge double"')
    ]
    index = indexed(some, tmp_path)
    ways = needle.words(Match("text", (Pattern((" double charge",)),)), needle.analyzer())
    *_, closest = named(index, ways, tmp_path)
    assert {0, 1} == closest


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b'["re", "fund it"]', "refund it"),
        (b'["some ", 1.5e-7]', "some 1.5e-07"),
        (b'["re", NaN]', "renan"),
        (b'["caf\xe9 charge"]', "xE9 charge"),
    ],
)
def test_a_stream_and_what_is_no_json_are_found_as_the_database_shows_them(engine, tmp_path, output, words):
    """What is put together of chunks, or shown otherwise than it is stored, is named as well."""
    some = [([None, output, *[None] * 3], True)]
    term = Match("text", (Pattern((words,)),))
    assert {0} == found_by_reading(engine, term, some)
    found = named(indexed(some, tmp_path), needle.words(term, needle.analyzer()), tmp_path)
    assert all(each == {0} for each in found)
