"""The commands that write: init, seal, import, export, doctor."""

import gzip
import json
import os

import pytest

from auditlog.cli.checkup import telemetry
from auditlog.cli.checkup_store import the_store
from auditlog.cli.exits import Exit
from auditlog.store import Store


def test_init_makes_a_store(run, tmp_path):
    """`init` makes ./audit, or what is named, prints its path, and changes nothing where one is."""
    done = run("init")
    assert done.exit_code == Exit.OK
    assert done.stdout == f"{tmp_path / 'audit'}\n"
    with Store.open("audit") as store:
        made = store.id
    again = run("init", "audit")
    assert "There is a store already" in again.stderr
    with Store.open("audit") as store:
        assert store.id == made


def test_init_refuses_a_directory_of_other_files(run, tmp_path):
    """A directory that holds somebody's files is left alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    done = run("init", "mine")
    assert done.exit_code == Exit.ERROR
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["thesis.txt"]


def test_seal_reports_what_it_did(store, script_for, run):
    """`seal` says how much it sealed and where, and then that nothing is left."""
    writer = store.writer()
    script_for(writer).turn("case-1")
    writer.close()
    done = run("seal", "--store", store.path)
    assert done.exit_code == Exit.OK
    assert done.stdout.startswith("Sealed 1 journal file: 3 spans in 1 segment.\n  segments/day=")
    assert run("seal", "--store", store.path).stdout.startswith("Nothing to seal.\nauditlog-checkpoint ")


def test_seal_says_what_was_torn(store, script_for, run):
    """A torn tail is said, and is a 1: something was lost."""
    writer = store.writer()
    script_for(writer).turn("case-1")
    path = writer.path
    writer.close()
    with path.open("ab") as file:
        file.write(b"ALJ1torn")
    done = run("seal", "--store", store.path)
    assert done.exit_code == Exit.NO
    assert "8 bytes behind offset" in done.stderr


def test_what_is_exported_can_be_imported(filled, run, tmp_path):
    """OTLP-JSON goes out and comes in again, compressed too; a second import brings nothing new."""
    assert run("export", "--store", filled.path, "-o", "x.jsonl.gz").exit_code == Exit.OK
    assert len(gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()).splitlines()) == 3
    done = run("import", "x.jsonl.gz", "--tag", "arm=again", "--store", "other")
    assert done.exit_code == Exit.OK
    assert done.stdout.split()[-5:] == ["otlp-json", "3", "10", "0", "0"]
    again = run("import", "x.jsonl.gz", "--store", "other")
    assert again.stdout.split()[-4:] == ["0", "0", "10", "0"]
    rows = json.loads(run("ls", "--where", "tag.arm:again", "--format", "json", "--store", "other").stdout)
    assert [row["conversation_id"] for row in rows] == ["case-3", "case-2", "case-1"]


def test_export_takes_ids_or_a_filter(filled, run):
    """Conversations are named or chosen, not both; JSON lines are one conversation each."""
    named = run("export", "case-2", "case-1", "--format", "jsonl", "--store", filled.path).stdout.splitlines()
    assert [json.loads(line)["conversation_id"] for line in named] == ["case-2", "case-1"]
    chosen = run(
        "export", "--where", "status:error", "--format", "jsonl", "--store", filled.path
    ).stdout.splitlines()
    assert [json.loads(line)["conversation_id"] for line in chosen] == ["case-3"]
    both = run("export", "case-1", "--where", "status:error", "--store", filled.path)
    assert both.exit_code == Exit.ERROR
    assert "not both" in both.stderr


def test_export_of_nothing_leaves_no_file(filled, run, tmp_path):
    """Where nothing matches, or an id is missing, no file appears."""
    assert (
        run("export", "--where", "user:nobody", "-o", "x.jsonl", "--store", filled.path).exit_code == Exit.NO
    )
    assert run("export", "case-1", "case-9", "-o", "x.jsonl", "--store", filled.path).exit_code == Exit.ERROR
    assert [path.name for path in tmp_path.iterdir() if path.name != "audit"] == []


def test_an_output_that_cannot_be_written_is_a_sentence(filled, run):
    """A file in a directory that is not there is named."""
    done = run("export", "-o", "no/such/x.jsonl", "--store", filled.path)
    assert done.exit_code == Exit.ERROR
    assert "no/such/x.jsonl cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"\x00\x01garbage", "x.json"),
        (b'{"some": "thing"}', "x.json"),
        (b"\x1f\x8b broken gzip", "x.json"),
    ],
)
def test_a_file_that_cannot_be_imported_is_a_sentence(run, tmp_path, content, says):
    """An unreadable file, or one of no known shape, is named, and imports nothing."""
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    done = run("import", "x.json")
    assert done.exit_code == Exit.ERROR
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_one_bad_file_does_not_end_an_import(filled, run, tmp_path):
    """The others are imported, and the exit code says that one was not."""
    (tmp_path / "many").mkdir()
    run("export", "-o", "many/good.jsonl", "--store", filled.path)
    (tmp_path / "many" / "bad.json").write_text("{}")
    done = run("import", "many", "--store", "other")
    assert done.exit_code == Exit.ERROR
    assert "bad.json" in done.stderr
    assert "good.jsonl" in done.stdout


def test_a_tag_without_a_value_is_a_sentence(run, tmp_path):
    """`--tag` takes a key and a value."""
    done = run("import", "x.json", "--tag", "arm")
    assert done.exit_code == Exit.ERROR
    assert "Write KEY=VALUE, such as --tag arm=base." in done.stderr


def test_doctor_finds_nothing_wrong_with_a_good_store(filled, run):
    """A good set-up exits with 0 and says what was looked at."""
    done = run("doctor", "--store", filled.path)
    assert done.exit_code == Exit.OK
    assert "3 conversations, 10 spans" in done.stdout
    assert "1 process recording" in done.stdout
    assert done.stderr == "Nothing is wrong.\n"


def test_doctor_says_what_is_wrong(run, tmp_path):
    """A missing store is wrong, says how to make one, and exits with 1."""
    done = run("doctor", "--format", "json")
    assert done.exit_code == Exit.NO
    [wrong] = [finding for finding in json.loads(done.stdout) if finding["grade"] == "wrong"]
    assert wrong["subject"] == "store"
    assert "auditlog init ./audit" in wrong["text"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "16"),
    ],
)
def test_doctor_knows_settings_that_lose_spans(name, value):
    """OpenTelemetry settings that drop or cut what is recorded are wrong, with how to mend them."""
    quiet = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    assert list(telemetry(quiet)) == []
    [finding] = telemetry({**quiet, name: value})
    assert finding.grade == "wrong"
    assert name in finding.text
    assert finding.mend


def test_doctor_knows_what_is_wrong_with_a_store(store, script_for):
    """Lost records and a newest span in the future are wrong; what waits to be sealed and torn tails are notes."""
    writer = store.writer()
    script = script_for(writer, began_ns=2**62)
    script.turn("case-1")
    for _ in range(3):
        writer.fault("ENOSPC")
    script.turn("case-2")
    path = writer.path
    writer.close()
    with path.open("ab") as file:
        file.write(b"torn")
    found = {
        (finding.grade, finding.text.partition(": ")[2] or finding.text)
        for finding in the_store(str(store.path))
    }
    told = "3 records could not be written while recording (ENOSPC 3; on_failure=continue)"
    assert ("wrong", told) in found
    assert any(grade == "wrong" and "in the future" in text for grade, text in found)
    assert any(grade == "note" and "4 torn bytes" in text for grade, text in found)
    assert any(grade == "note" and "not sealed yet" in text for grade, text in found)
    store.seal()
    assert any(
        "3 records could not be written" in f.text for f in the_store(str(store.path)) if f.grade == "wrong"
    )


def test_doctor_sees_a_store_that_does_not_read(filled):
    """A damaged file is wrong, and named."""
    (filled.path / "ledger" / "entries.log").write_bytes(b"garbage that is no ledger" * 10)
    found = list(the_store(str(filled.path)))
    assert [finding.grade for finding in found] == ["wrong"]
    assert "entries.log" in found[0].text


def test_doctor_finds_a_flipped_bit(store, script_for):
    """A bit that turned in a sealed file is found, wherever it lies and whether or not anybody reads it."""
    writer = store.writer()
    script_for(writer).turn("case-1")
    writer.append(b"no record")
    writer.close()
    store.seal()
    texts = [f.text for f in the_store(str(store.path)) if f.grade == "wrong"]
    assert ["1 record in sealed journals could not be read"] == texts
    path = store.path / store.segments()[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert any(path.name in f.text for f in the_store(str(store.path)) if f.grade == "wrong")


def test_doctor_sees_django_auditlog(tmp_path, run_apart):
    """The package that takes the same import name is wrong."""
    info = tmp_path / "site" / "django_auditlog-3.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: django-auditlog\nVersion: 3.0.0\n")
    run_apart("init")
    done = run_apart("doctor", env={"PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == Exit.NO
    assert "django-auditlog 3.0.0 is installed here too" in done.stdout


def test_findings_fit_sixty_columns(run, monkeypatch):
    """What the doctor says fits a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    assert all(len(line) <= 60 for line in run("doctor").stdout.splitlines() if " at /" not in line)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_store_that_cannot_be_read_is_a_sentence(filled, run):
    """A store without permission is named, with what to check."""
    (filled.path / "store.toml").chmod(0)
    done = run("ls", "--store", filled.path)
    assert done.exit_code == Exit.ERROR
    assert "Check its owner and mode." in done.stderr


def test_parquet_is_refused_on_a_terminal(filled, run_apart):
    """Parquet goes to a file or a pipe; a terminal gets a sentence."""
    import pty

    leader, follower = pty.openpty()
    import subprocess

    done = run_apart(
        "ls",
        "--format",
        "parquet",
        "--store",
        filled.path,
        capture_output=False,
        stdout=follower,
        stderr=subprocess.PIPE,
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == Exit.ERROR
    assert "Write it to a file with --output FILE" in done.stderr
