"""Hostile files: to import, in a store, and names that look like paths."""

import gzip
import json
import os
import pickle
import subprocess
import sys

import pytest

from auditlog.cli.exits import Exit
from auditlog.importers import otlp_json, reading


@pytest.fixture
def refused(run, tmp_path):
    """Give a function that imports a file which must be refused, and gives what was said."""

    def check(path):
        done = run("import", path, "--store", tmp_path / "audit")
        assert done.exit_code == Exit.ERROR
        assert "1 of 1 files could not be imported" in done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    return check


def test_a_bomb_is_refused_before_it_unfolds(tmp_path, refused):
    """A gzip file that unfolds a thousandfold is refused when it has come to the bound, and counted."""
    path = tmp_path / "bomb.json"
    path.write_bytes(gzip.compress(b"[" + b" " * (reading.FREE_BYTES + (8 << 20)), 9))
    assert path.stat().st_size * 900 < reading.FREE_BYTES + (8 << 20)
    assert "as a gzip bomb does" in refused(path)


def test_gzip_inside_gzip_is_refused(tmp_path, refused):
    """What unzips to a gzip file is not unzipped again."""
    path = tmp_path / "nested.json"
    path.write_bytes(gzip.compress(gzip.compress(b'{"resourceSpans": []}')))
    assert "a gzip file inside a gzip file" in refused(path)


def test_ordinary_gzip_is_imported(otlp, span, run, tmp_path):
    """A file that repeats itself as traces do is imported."""
    attributes = {"gen_ai.conversation.id": "case-1", "gen_ai.input.messages": "word " * 2000}
    path = otlp(*(span(number, attributes) for number in range(1, 40)))
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert run("import", path, "--store", tmp_path / "audit").exit_code == Exit.OK


@pytest.mark.slow
def test_a_fifo_and_a_device_are_refused_at_once(tmp_path, run_apart):
    """Whoever opens a FIFO waits for ever, and a device never ends: neither is opened."""
    fifo = tmp_path / "traces.json"
    os.mkfifo(fifo)
    for path in (fifo, "/dev/zero"):
        done = run_apart("import", path, "--store", tmp_path / "audit", timeout=60)
        assert done.returncode == Exit.ERROR
        assert "only a file is imported" in done.stderr


def test_a_file_that_is_too_large_is_not_read(tmp_path, refused):
    """A file beyond the bound is refused by its size."""
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)
    assert "holds more than 1024 MiB" in refused(path)


@pytest.mark.slow
def test_a_million_attributes_are_bounded_and_counted(otlp, span, run, tmp_path):
    """Of a span with more attributes than anybody sends the rest is left out, counted, told, and the span is lossy."""
    many = otlp_json.MOST_ATTRIBUTES + 990_000
    path = otlp(span(1, {"gen_ai.conversation.id": "case-1"}))
    text = path.read_text()
    more = ",".join(f'{{"key":"k{number}","value":{{"stringValue":"x"}}}}' for number in range(many - 1))
    path.write_text(text.replace('"attributes": [', f'"attributes": [{more},', 1))
    done = run("import", path, "--store", tmp_path / "audit")
    assert done.exit_code == Exit.OK
    assert "1,000,000 attributes; 990,000 were left out" in done.stderr
    shown = run(
        "sql", "SELECT lossy FROM all_spans", "--format", "json", "--store", tmp_path / "audit"
    ).stdout
    assert json.loads(shown) == [{"lossy": True}]


@pytest.mark.parametrize(
    "identity", ["../../x", "a\0b" * 10, "a" * 4096, "", "0" * 32, "zz" * 16, 7, None, ["x"]]
)
def test_a_trace_id_that_is_none_is_rejected(identity, otlp, span, run, tmp_path):
    """A span whose id is a path, has a NUL or 4 KB, or is no id at all, is left out with a reason."""
    path = otlp(span(1, {"gen_ai.conversation.id": "case-1"}), span(2, traceId=identity))
    done = run("import", path, "--store", tmp_path / "audit")
    assert "span 2 has no valid trace and span id" in done.stderr
    rows = run(
        "sql", "SELECT count(*) AS n FROM all_spans", "--format", "json", "--store", tmp_path / "audit"
    )
    assert json.loads(rows.stdout) == [{"n": 1}]


PATHS = ["../../x", "a/../b", "a=b", "%2e%2e", "/etc/passwd", "CON", "a\0b", "." * 300, "day=2026-11-23"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_a_name_never_becomes_a_path(name, otlp, span, run, tmp_path):
    """Ids, agents and tags that look like paths are text: nothing but the store's own names appears on the disk."""
    before = set(os.listdir(tmp_path.parent))
    path = otlp(
        span(1, {"gen_ai.conversation.id": name, "gen_ai.agent.name": name, "auditlog.tag.tenant": name})
    )
    assert run("import", path, "--tag", "arm=../../x", "--store", tmp_path / "audit").exit_code == Exit.OK
    run("seal", "--store", tmp_path / "audit")
    listed = json.loads(run("ls", "--format", "json", "--store", tmp_path / "audit").stdout)
    assert listed[0]["conversation_id"].startswith(name[:20])
    done = run("export", "--incident", listed[0]["conversation_id"], "--store", tmp_path / "audit")
    assert done.exit_code in (Exit.OK, Exit.ERROR), done.stderr
    assert set(os.listdir(tmp_path.parent)) == before
    made = set(os.listdir(tmp_path)) - {"audit", "traces.json"}
    assert all("/" not in entry and not entry.startswith(".") and "=" not in entry for entry in made), made
    names = [file for _, folders, files in os.walk(tmp_path / "audit") for file in (*folders, *files)]
    assert not any(name in file or ".." in file for file in names if name != "day=2026-11-23")


def test_what_would_run_when_it_is_loaded_is_not_loaded(tmp_path, refused):
    """A pickle and a YAML file with a Python object are no formats: they are refused as what they are."""

    class Owned:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'owned'}",)

    one, other = tmp_path / "a.pkl", tmp_path / "b.yaml"
    one.write_bytes(pickle.dumps(Owned()))
    other.write_text(f'!!python/object/apply:os.system ["touch {tmp_path / "owned"}"]\n')
    assert "a Python pickle, which could run anything and is never loaded" in refused(one)
    assert "is not JSON" in refused(other)
    assert not (tmp_path / "owned").exists()


def test_a_tag_that_is_no_text_is_said_to_be_none(otlp, span, run, tmp_path):
    """A tag in bytes that are no UTF-8 is a sentence about the tag."""
    done = run("import", otlp(span(1)), "--tag", "arm=\udcff", "--store", tmp_path / "audit")
    assert done.exit_code == Exit.ERROR
    assert "is not UTF-8" in done.stderr


@pytest.fixture
def sealed(store, script):
    """Give a store with something sealed and something live."""
    script.turn("case-1")
    script.writer.close()
    store.seal()
    return store


PLACES = {
    "journal": lambda store: store.path / "journal" / "ffffffff-1-1.wal",
    "segment": lambda store: store.path / store.segments()[0].path,
    "entries": lambda store: store.path / "ledger" / "entries.log",
    "checkpoint": lambda store: store.path / "ledger" / "checkpoint",
    "settings": lambda store: store.path / "store.toml",
    "ledger": lambda store: store.path / "ledger",
    "segments": lambda store: store.path / "segments",
    "keys": lambda store: store.path / "keys",
    "day": lambda store: (store.path / store.segments()[0].path).parent,
}


@pytest.mark.slow
@pytest.mark.parametrize("thing", ["symlink", "fifo"])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_in_a_store_is_refused(sealed, tmp_path, run_apart, place, thing):
    """A symlink or FIFO in a store's place is refused by name, without following it or waiting for it."""
    path = PLACES[place](sealed)
    elsewhere = tmp_path / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.write_bytes(b"")
    if thing == "symlink":
        path.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from auditlog.cli.main import main\n"
        "for command in (['verify'], ['show', 'case-1'], ['seal']):\n"
        "    done = CliRunner().invoke(main, [*command, '--store', sys.argv[1]])\n"
        "    print(command[0], int(done.exit_code), 'should not' in done.stderr, done.stderr.replace('\\n', ' '))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sealed.path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    said = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert said["verify"][0] != "0", done.stdout
    assert {words[1] for words in said.values()} == {"False"}, done.stdout
