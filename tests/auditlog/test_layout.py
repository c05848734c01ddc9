"""What makes a directory a store, and what is refused."""

import os
import subprocess
import sys

import pytest

from auditlog import layout
from auditlog.errors import FormatError, NotFoundError, StoreError
from auditlog.store import Store


def test_a_store_is_made_once_and_keeps_its_id(store_path):
    """Making a store where one is gives the same store."""
    first, second = Store.create(store_path), Store.create(store_path)
    assert first.id == second.id
    assert Store.open(store_path).id == first.id


def test_processes_that_make_one_store_at_once_agree_on_its_id(store_path):
    """Of several processes that make a store at once one wins, and all see the same id."""
    code = (
        "import sys; from auditlog import layout; print(layout.read_settings(layout.ensure(sys.argv[1])).id)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, store_path], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    ids = {child.communicate()[0].strip() for child in children}
    assert len(ids) == 1
    assert os.listdir(store_path / "journal") == []
    assert not [name for name in os.listdir(store_path) if name.startswith(".store")]


def test_recording_needs_no_engine_to_make_a_store(store_path):
    """Making sure of a store imports neither DuckDB nor pyarrow."""
    code = (
        "import sys; from auditlog import layout; layout.ensure(sys.argv[1]); "
        "print([m for m in ('duckdb', 'pyarrow', 'rapidfuzz') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_empty_store_answers_every_question(store):
    """A store without records has no conversations, and says so when one is asked for."""
    assert store.summaries() == []
    assert store.count() == 0
    assert list(store.conversations()) == list(store.turns()) == store.segments() == []
    with pytest.raises(NotFoundError, match="the store is empty"):
        store.conversation("case-1")


def test_a_store_further_down_is_named(tmp_path):
    """Opening the directory above a store names the store."""
    Store.create(tmp_path / "project" / "audit")
    with pytest.raises(StoreError, match=r"not a store.*A store lies in .*project/audit"):
        Store.open(tmp_path / "project")


def test_a_path_that_is_not_there_says_how_to_make_a_store(tmp_path):
    """Opening nothing says how to make a store there."""
    with pytest.raises(StoreError, match=r"does not exist. Make one with `auditlog init .*nothing`"):
        Store.open(tmp_path / "nothing")


def test_a_file_is_no_store(tmp_path):
    """A file's path is refused for opening and for making a store."""
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(StoreError, match="not a store"):
        Store.open(path)
    with pytest.raises(StoreError, match="no directory"):
        Store.create(path)


def test_a_directory_of_other_files_is_not_made_a_store(tmp_path):
    """A store is never mixed into a directory that holds something else."""
    (tmp_path / "main.py").write_text("")
    with pytest.raises(StoreError, match=r"'main.py' for one.*Name a new one"):
        Store.create(tmp_path)


def test_a_newer_format_is_refused(store_path):
    """A store of a newer format says so, and what to do."""
    Store.create(store_path)
    settings = store_path / "store.toml"
    settings.write_text(settings.read_text().replace("format = 2", "format = 3"))
    with pytest.raises(FormatError, match=r"has format 3.*reads format 2. Upgrade"):
        Store.open(store_path)


def test_an_older_format_names_the_command_that_brings_it_up(store_path):
    """A store of format 1 is refused with the command that migrates it."""
    Store.create(store_path)
    settings = store_path / "store.toml"
    settings.write_text(settings.read_text().replace("format = 2", "format = 1"))
    with pytest.raises(FormatError, match=r"has format 1.*Run `auditlog migrate`"):
        Store.open(store_path)


@pytest.mark.parametrize(
    "text", ["", "format = 'x'", "format = 1", "\x00", "format = [1]\nid = 1\ncreated = 2"]
)
def test_damaged_settings_are_named(store_path, text):
    """Settings that do not read are an error that names the file."""
    Store.create(store_path)
    (store_path / "store.toml").write_text(text)
    with pytest.raises(FormatError, match=r"store\.toml is damaged"):
        Store.open(store_path)


@pytest.mark.parametrize("name", ["journal", "segments", "ledger"])
def test_a_symlink_inside_a_store_is_refused(store_path, tmp_path, name):
    """A directory of the store that is a symlink is refused before anything is read through it."""
    Store.create(store_path)
    elsewhere = tmp_path / "elsewhere"
    (store_path / name).rename(elsewhere)
    (store_path / name).symlink_to(elsewhere)
    with pytest.raises(StoreError, match=f"{name} is a symlink"):
        Store.open(store_path)
    with pytest.raises(StoreError, match=f"{name} is a symlink"):
        layout.ensure(store_path)


def test_a_store_under_a_name_full_of_wildcards_works(tmp_path, script_for):
    """A store's path is never taken for a pattern or for SQL."""
    path = tmp_path / "it's [a] *store?"
    with Store.create(path) as store:
        writer = store.writer()
        script_for(writer).turn("case-1")
        writer.close()
        store.seal()
        assert [s.conversation_id for s in store.summaries()] == ["case-1"]
        assert store.conversation("case-1").turns[0].agent.segment == store.segments()[0].path
        assert store.select("SELECT count(*) AS n FROM spans").to_pylist() == [{"n": 3}]


@pytest.mark.parametrize("use", [Store.create, Store.open])
def test_a_path_that_is_not_utf_8_is_refused(tmp_path, use):
    """The engine cannot read such a store, so nothing is recorded into one."""
    with pytest.raises(StoreError, match="not UTF-8"):
        use(tmp_path / "caf\udcff")


def test_a_ledger_that_is_a_fifo_is_refused(store_path):
    """Nothing waits for what nobody writes."""
    Store.create(store_path)
    os.mkfifo(store_path / "ledger" / "entries.log")
    with pytest.raises(StoreError, match="is a FIFO"):
        Store.open(store_path)


def test_records_in_a_place_that_is_no_store_any_more_are_told(store_path):
    """Where a store vanished while it was recorded into, its records are there, and making the store again finds them."""
    store_path.mkdir()
    (store_path / "journal").mkdir()
    (store_path / "journal" / "boot-1-1.wal").write_bytes(b"")
    with pytest.raises(StoreError, match="its journal holds records: a store that vanished"):
        Store.open(store_path)
    Store.create(store_path).close()
