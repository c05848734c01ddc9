"""The content key: with it everything reads as ever, and without it no content does, from any file or any command."""

import json
import os
import stat

import click.testing
import duckdb
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from auditlog.cli.main import main
from auditlog.errors import ContentKeyError, FilterError, StoreError
from auditlog.integrity.proof import check_proof
from auditlog.integrity.prove import prove
from auditlog.integrity.verify import verify
from auditlog.keeping import compact
from auditlog.keeping.erase import erase, subject_of
from auditlog.keeping.prune import prune
from auditlog.layout import ensure
from auditlog.sealing import content_key
from auditlog.store import Store
from auditlog.store.decrypted import sealed_rows

PHRASE = "purple hippopotamus"
REASON = "wants the amber giraffe"
SECRETS = (PHRASE, REASON, "hippopotamus", "giraffe", "crimson", "indigo")


@pytest.fixture
def encrypted(store_path, script_for):
    """Give the path of a store that encrypts, with three sealed conversations."""
    content_key.make(ensure(store_path))
    with Store.open(store_path) as store:
        for number in range(3):
            writer = store.writer()
            script = script_for(writer)
            script.turn(
                f"case-{number}",
                user=f"The {PHRASE} {number} is broken",
                answer=f"The crimson answer {number}",
                tools=(("look_up", {"id": "indigo"}, {"state": "indigo"}, "error" if number == 2 else "ok"),),
                attributes={"auditlog.escalation.reason": REASON} if number == 1 else None,
                user_id=f"u-{number}",
            )
            writer.close()
            store.seal()
    return store_path


@pytest.fixture
def closed(encrypted, tmp_path):
    """Give the same without its key, and the key's file."""
    key = tmp_path / "content.key"
    (encrypted / "keys" / "content.key").rename(key)
    return encrypted, key


def _run(*words):
    return click.testing.CliRunner().invoke(main, list(map(str, words)))


def _leaks(root):
    """Give the files below a store, but for keys and the journal, that hold recorded content."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).parts[0] not in ("keys", "journal"):
            data = path.read_bytes()
            found += [(path.name, word) for word in SECRETS if word.encode() in data]
    return found


def test_plain_store_shows_what_is_looked_for(store, script_for):
    """A store that does not encrypt holds a recorded phrase in its files: looking for one finds it."""
    writer = store.writer()
    script_for(writer).turn("case-1", user="purple hippopotamus")
    writer.close()
    store.seal()
    assert [word for _, word in _leaks(store.path)]
    assert "escalated" not in pq.read_schema(store.path / store.segments()[0].path).names


@pytest.mark.slow
def test_no_file_holds_content_with_the_key(encrypted):
    """After each command that reads with the key, no file of the store but its keys holds a recorded phrase."""
    words = (
        ("ls",),
        ("show", "case-1"),
        ("find", PHRASE),
        ("find", "crimson", "--where", "escalated:yes"),
        ("show", "case-1", "--raw"),
        ("index",),
        ("sql", f"SELECT user_text, input FROM spans WHERE input LIKE '%{PHRASE}%' ORDER BY 1"),
        ("sql", "SELECT * FROM conversations"),
        ("verify", "--deep"),
        ("export",),
        ("prove", "case-1"),
        ("compact",),
        ("ls", "--where", "text:crimson"),
        ("access",),
        ("doctor",),
    )
    for each in words:
        result = _run(*each, "--store", encrypted)
        assert 0 == result.exit_code, (each, result.output)
        assert [] == _leaks(encrypted)


@pytest.mark.slow
def test_no_command_shows_content_without_the_key(closed):
    """Without the key, whatever a command says and however it ends, no content shows, and nothing crashes."""
    root, _ = closed
    words = {
        ("ls",): 0,
        ("ls", "--format", "json"): 0,
        ("ls", "--where", "status:error"): 1,
        ("ls", "--where", "escalated:yes tool:look_up"): 0,
        ("ls", "--where", "text:broken"): 3,
        ("ls", "--where", "-text:broken"): 3,
        ("show", "case-1"): 0,
        ("show", "case-1", "--full"): 0,
        ("show", "case-1", "--raw"): 0,
        ("find", "broken"): 3,
        ("sql", "SELECT conversation_id, status, spans, escalated FROM conversations"): 0,
        ("sql", "SELECT kind, count(*), sum(input_tokens), sum(cost_usd) FROM spans GROUP BY kind"): 0,
        ("sql", "SELECT output FROM spans"): 3,
        ("sql", "SELECT user_text FROM turns"): 3,
        ("sql", "SELECT salt FROM all_spans"): 3,
        ("sql", "SELECT TRY(input) FROM spans"): 3,
        ("sql", "SELECT parts FROM sealed"): 3,
        ("verify",): 0,
        ("verify", "--deep"): 4,
        ("export",): 3,
        ("export", "case-1"): 3,
        ("prove", "case-1"): 3,
        ("prove", "case-1", "--no-content"): 3,
        ("erase", "--subject", "u-1", "--yes"): 3,
        ("compact",): 3,
        ("prune", "--older-than", "2100-01-01", "--yes"): 3,
        ("index",): 0,
        ("keys", "ls"): 0,
        ("access",): 0,
        ("doctor",): 0,
        ("seal",): 3,
        ("import", root / "store.toml"): 3,
    }
    for each, code in words.items():
        result = _run(*each, "--store", root)
        assert code == result.exit_code, (each, result.output)
        assert [] == [word for word in SECRETS if word in result.stdout + result.stderr], each
        assert [] == _leaks(root)
        if code > 2 and each[0] != "sql":
            assert "auditlog-content:" in result.stderr, each


def test_key_from_elsewhere(closed, monkeypatch):
    """The key may lie where AUDITLOG_CONTENT_KEY says; another key is as none."""
    root, key = closed
    monkeypatch.setenv(content_key.VARIABLE, str(key))
    assert PHRASE in _run("show", "case-1", "--store", root).stdout
    key.write_bytes(os.urandom(32))
    result = _run("show", "case-1", "--store", root)
    assert 0 == result.exit_code
    assert PHRASE not in result.output
    assert "another" in _run("keys", "ls", "--store", root).stdout


def test_structure_shows(closed):
    """Without the key, a conversation shows what was called, when, and how it went, but for its content."""
    root, _ = closed
    with Store.open(root) as store:
        store.shows_structure = True
        (turn,) = store.conversation("case-1").turns
    assert all(span.closed.startswith("auditlog-content:") for span in turn.spans)
    assert {"look_up"} == {span.name for span in turn.of_kind("tool")}
    assert "ok" == turn.status
    assert "(encrypted)" == turn.agent.escalation_reason
    assert {None} == {span.input for span in turn.spans}


def test_python_gets_an_error_and_no_empty_content(closed):
    """Who reads in Python without the key gets an error that names it, unless structure is asked for."""
    root, _ = closed
    with Store.open(root) as store:
        assert 3 == store.count()
        for read in (
            lambda: store.conversation("case-1"),
            lambda: list(store.conversations()),
            lambda: list(store.spans()),
            lambda: store.query("SELECT input FROM spans"),
            lambda: store.summaries("text:broken"),
            lambda: prove(store, {"conversation": "case-1"}),
        ):
            with pytest.raises(ContentKeyError, match="auditlog-content:"):
                read()
        with pytest.raises(FilterError, match="auditlog-content:"):
            store.select("SELECT input FROM spans")


def test_index_answers_alike_with_and_without_the_key(closed, monkeypatch):
    """Lists are the same whoever made the index, but for what was said."""
    root, key = closed
    with Store.open(root) as store:
        store.remove_index()
        store.update_index()
        without = store.summaries()
        escalated = store.summaries("escalated:yes")
    monkeypatch.setenv(content_key.VARIABLE, str(key))
    with Store.open(root) as store:
        said = store.summaries()
        store.remove_index()
        store.update_index()
        again = store.summaries()
    assert said == again
    assert [(s.conversation_id, s.why, s.spans) for s in without] == [
        (s.conversation_id, s.why, s.spans) for s in said
    ]
    assert [f"The {PHRASE} {number} is broken" for number in (2, 1, 0)] == [s.last_user_text for s in said]
    assert ["", "", ""] == [s.last_user_text for s in without]
    assert ["case-1"] == [s.conversation_id for s in escalated]


def test_any_tool_reads_metadata_and_none_reads_content(encrypted):
    """DuckDB and Arrow, on their own, read the plain columns of a sealed file, and fail on the others."""
    with Store.open(encrypted) as store:
        path = encrypted / store.segments()[0].path
    rows = duckdb.sql(f"SELECT kind, escalated FROM read_parquet('{path}')").fetchall()
    assert len(rows) == pq.read_table(path, columns=["kind", "start_ns"], partitioning=None).num_rows
    for name in content_key.COLUMNS:
        with pytest.raises(duckdb.Error):
            duckdb.sql(f"SELECT {name} FROM read_parquet('{path}')").fetchall()
        with pytest.raises(OSError, match="decrypt"):
            pq.read_table(path, columns=[name], partitioning=None)


def test_sealing_waits_for_the_key(store_path, script_for, tmp_path, monkeypatch):
    """Recording needs no key; sealing does, says so, and the journal waits for it."""
    content_key.make(ensure(store_path))
    key = tmp_path / "content.key"
    (store_path / "keys" / "content.key").rename(key)
    with Store.open(store_path) as store:
        writer = store.writer()
        script_for(writer).turn("case-1")
        writer.close()
        with pytest.raises(ContentKeyError, match="Sealing needs the content key"):
            store.seal()
        store.refresh()
        assert 0 == len(store.segments())
        assert 1 == len(store.conversation("case-1").turns)
        monkeypatch.setenv(content_key.VARIABLE, str(key))
    with Store.open(store_path) as store:
        assert 1 == len(store.seal().segments)
        assert "case-1" == store.conversation("case-1").conversation_id


def test_live_and_sealed_read_as_one(encrypted, script_for):
    """What is still in the journal shows beside what is sealed, with the key."""
    with Store.open(encrypted) as store:
        writer = store.writer()
        script_for(writer).turn("case-0", user="still live")
        store.refresh()
        assert 2 == len(store.conversation("case-0").turns)
        assert "still live" == store.summaries()[-1].last_user_text
        assert 2 == store.count("text:hippopotamus -conversation:case-0")
        writer.close()


def test_keeping_with_the_key(encrypted):
    """Compacting, proving, erasing and pruning keep working on encrypted files, and every row still proves."""
    with Store.open(encrypted) as store:
        assert 1 == compact.compact(store, grace=0).files_after
        assert [] == verify(store.layout, deep=True).faults
        assert [] == check_proof(prove(store, {"conversation": "case-1"}).document).faults
        proof = prove(store, {"conversation": "case-1"}, content=False).document
        assert PHRASE not in json.dumps(proof)
        erase(store, subject_of(store, "u-1", []), reason="asked")
        assert [] == _leaks(encrypted)
        assert [] == verify(store.layout, deep=True).faults
        assert all(span.erased for turn in store.conversation("case-1").turns for span in turn.spans)
        assert f"The {PHRASE} 2 is broken" == store.conversation("case-2").turns[0].user_text
        prune(store, 1 << 62, older_than="2100-01-01")
        assert [] == verify(store.layout, deep=True).faults
        assert 0 == store.count()


def test_damage_is_no_missing_key(encrypted):
    """A flipped byte in an encrypted file is damage, and named as damage."""
    with Store.open(encrypted) as store:
        path = encrypted / store.segments()[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    result = _run("verify", "--store", encrypted)
    assert 1 == result.exit_code
    with Store.open(encrypted) as store, pytest.raises(StoreError, match="damaged") as raised:
        list(store.conversations())
    assert not isinstance(raised.value, ContentKeyError)


def test_filters_are_encrypted_in_the_ledger(closed, monkeypatch):
    """Who searched for what stands in the ledger encrypted; with the key, `access` tells it."""
    root, key = closed
    monkeypatch.setenv(content_key.VARIABLE, str(key))
    assert 0 == _run("find", PHRASE, "--store", root).exit_code
    assert "hippopotamus" in _run("access", "--store", root, "--format", "json").stdout
    monkeypatch.delenv(content_key.VARIABLE)
    assert "hippopotamus" not in _run("access", "--store", root, "--format", "json").stdout


def test_key_is_the_users_alone_and_named(tmp_path):
    """`init --encrypt-content` makes a key for its user alone, names it in the settings, and does so once."""
    root = tmp_path / "made"
    assert 0 == _run("init", "--encrypt-content", root).exit_code
    key = root / "keys" / "content.key"
    secret = key.read_bytes()
    assert (32, 0o600) == (len(secret), stat.S_IMODE(key.stat().st_mode))
    assert content_key.id_of(secret) in (root / "store.toml").read_text()
    assert content_key.id_of(secret) in _run("keys", "ls", "--store", root, "--format", "json").stdout
    assert 0 == _run("init", "--encrypt-content", root).exit_code
    assert secret == key.read_bytes()


def test_sealed_files_stay_as_they_are(store, script_for):
    """A store that holds plain sealed files cannot begin to encrypt: half of it would stay plain."""
    writer = store.writer()
    script_for(writer).turn("case-1")
    writer.close()
    store.seal()
    result = _run("init", "--encrypt-content", store.path)
    assert 3 == result.exit_code
    assert "holds sealed files" in result.stderr
    assert "[content]" not in store.layout.settings.read_text()


def test_setting_taken_out(encrypted):
    """Where store.toml no longer names the key, what is encrypted is still told from what is damaged."""
    settings = encrypted / "store.toml"
    kept = settings.read_text().partition("\n[content]")
    settings.write_text(kept[0] + "\n" + kept[2].partition("\n\n")[2])
    with Store.open(encrypted) as store, pytest.raises(ContentKeyError, match="auditlog-content:"):
        list(store.conversations())


def test_what_unwraps_keys_is_made_before_any_thread_reads(encrypted, monkeypatch):
    """Reading sealed rows makes no second unwrapper: two threads that made one at once would wait for each other for ever."""
    made = []
    factory = pe.CryptoFactory

    def counting(make):
        def making(config):
            made.append(config)
            return make(config)

        return factory(making)

    monkeypatch.setattr(pe, "CryptoFactory", counting)
    content_key._factory.cache_clear()
    try:
        paths = sorted(map(str, encrypted.glob("segments/day=*/*.parquet")))
        rows = sealed_rows(str(encrypted), paths, content_key.of(encrypted).secret)
        assert 1 == len(made)
        assert 0 < rows.to_table().num_rows
        assert (1, 3) == (len(made), len(paths))
    finally:
        content_key._factory.cache_clear()
