"""The commands over a store's life: what they say, ask, refuse and leave."""

import base64
import hashlib
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from auditlog.cli.exits import Exit

GOLDEN = Path(__file__).resolve().parents[2] / "fixtures" / "stores"


@pytest.fixture
def sealed(filled, script):
    """Give the filled store, sealed."""
    script.writer.close()
    filled.seal()
    return filled


def test_compacting_says_what_it_did(run, sealed, script_for):
    """Files and bytes before and after are said, and a second run has nothing to do."""
    writer = sealed.writer()
    script_for(writer).turn("case-4")
    writer.close()
    sealed.seal()
    found = run("compact", "--dry-run", "--store", sealed.path)
    assert (found.exit_code, found.stdout.splitlines()[0]) == (Exit.OK, "Would compact 2 files into 1 file.")
    found = run("compact", "--grace", "0", "--store", sealed.path)
    assert "Files 2 → 1, " in found.stdout
    assert run("compact", "--store", sealed.path).stdout == "Nothing to compact.\n"


def test_nothing_is_taken_away_where_nobody_can_be_asked(run, sealed):
    """Without a terminal and without --yes, pruning and erasing are errors that say so, and change nothing."""
    for command in (["prune", "--older-than", "0s"], ["erase", "--subject", "u-1"]):
        found = run(*command, "--store", sealed.path)
        assert (found.exit_code, "Say --yes" in found.stderr) == (Exit.ERROR, True)
    assert sealed.conversation("case-1").turns[0].user_text == "Where is my order?"


def test_pruned_conversations_are_told_of(run, sealed):
    """What was pruned is shown as pruned, with the reason."""
    found = run("prune", "--older-than", "0s", "--yes", "--reason", "policy 4", "--store", sealed.path)
    assert found.stdout.startswith("Pruned 3 conversations (10 spans).\n")
    found = run("show", "case-1", "--store", sealed.path)
    assert (found.exit_code, "was pruned on" in found.stderr, "policy 4" in found.stderr) == (
        Exit.ERROR,
        True,
        True,
    )
    assert run("prune", "--older-than", "0s", "--yes", "--store", sealed.path).stdout == "Nothing to prune.\n"


def test_holds_are_placed_listed_and_released(run, sealed):
    """A hold needs a reason and one target, is listed with both, and keeps its conversation from both commands."""
    store = ("--store", sealed.path)
    assert run("hold", "case-1", *store).exit_code == Exit.ERROR
    assert run("hold", "--list", *store).exit_code == Exit.NO
    found = run("hold", "--where", "agent:other-bot", "--reason", "case 7", *store)
    assert found.stdout == "Held: --where 'agent:other-bot' (1 conversation now).\n"
    (row,) = json.loads(run("hold", "--list", "--format", "json", *store).stdout)
    assert (row["held"], row["reason"], row["conversations"]) == ("--where 'agent:other-bot'", "case 7", 1)
    found = run("prune", "--older-than", "0s", "--yes", *store)
    assert "Held, and so kept: 1 conversation of that age." in found.stdout
    found = run("erase", "--conversation", "case-3", "--yes", *store)
    assert (found.exit_code, "case 7" in found.stderr) == (Exit.ERROR, True)
    assert run("release", "--where", "agent:other-bot", "--reason", "done", *store).exit_code == Exit.OK
    assert run("erase", "--conversation", "case-3", "--yes", *store).exit_code == Exit.OK


def test_erasing_says_what_goes_and_show_says_that_it_is_gone(run, sealed):
    """A dry run and the run say the same numbers; afterwards the conversation shows without its words."""
    store = ("--store", sealed.path)
    would = run("erase", "--subject", "u-1", "--dry-run", *store).stdout
    did = run("erase", "--subject", "u-1", "--yes", *store).stdout
    assert would.replace("Would erase", "Erased") == did
    assert "The subject’s own: 3 conversations." in did
    shown = run("show", "case-1", *store).stdout
    assert "(its content is gone: erased or pruned)" in shown
    assert "order" not in shown.replace("look_up_order", "")
    again = run("erase", "--subject", "u-1", "--yes", *store)
    assert (again.exit_code, again.stdout) == (Exit.NO, "Nothing to erase.\n")


def test_a_live_journal_makes_an_erasure_incomplete(run, filled):
    """What a process still writes is said, and the exit code is 1."""
    found = run("erase", "--subject", "u-1", "--yes", "--store", filled.path)
    assert (found.exit_code, "Erase again" in found.stderr) == (Exit.NO, True)


def test_an_incident_is_a_folder_that_checks_by_itself(run, sealed, tmp_path):
    """The folder's checksums hold, its proof verifies with its key and without the store, and the export is recorded in it."""
    folder = tmp_path / "incident"
    found = run(
        "export", "--incident", "case-2", "--out", folder, "--reason", "complaint", "--store", sealed.path
    )
    assert (found.exit_code, found.stdout) == (Exit.OK, "case-2: 3 of 3 records proven.\n")
    done = subprocess.run(
        ["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")
    sealed.close()
    sealed.path.rename(tmp_path / "away")
    checked = run("verify", "--proof", folder / "proof.json", "--public-key", folder / "public-key.txt")
    assert (checked.exit_code, "3 spans" in checked.stdout) == (0, True)
    (access,) = map(json.loads, (folder / "access.jsonl").read_text("utf-8").splitlines())
    assert (access["action"], access["reason"]) == ("export incident", "complaint")


def folded(leaf, index, size, steps):
    """Fold a leaf hash with a proof, as RFC 6962 describes it: node by node from the leaf up."""
    place, last = index, size - 1
    for step in map(bytes.fromhex, steps):
        if place % 2 or place == last:
            leaf = hashlib.sha256(b"\1" + step + leaf).digest()
            while not place % 2 and place:
                place, last = place // 2, last // 2
        else:
            leaf = hashlib.sha256(b"\1" + leaf + step).digest()
        place, last = place // 2, last // 2
    return leaf


def test_an_incident_can_be_checked_by_hand(run, sealed, tmp_path):
    """What the page says of checking by hand holds: words, leaf, path and root come out with hashlib alone."""
    run("export", "--incident", "case-1", "--out", tmp_path / "incident", "--store", sealed.path)
    proof = json.loads((tmp_path / "incident" / "proof.json").read_text("utf-8"))
    root = base64.b64decode((tmp_path / "incident" / "checkpoint").read_text("utf-8").splitlines()[2])
    size = int(proof["checkpoint"].splitlines()[1])
    checked = 0
    for segment in proof["segments"]:
        for span in segment["spans"]:
            named = json.loads(span["text"])["parts"]
            for name, part in span["parts"].items():
                words = bytes.fromhex(part["salt"]) + part["text"].encode()
                assert hashlib.sha256(words).hexdigest() == named[name]
                checked += 1
            leaf = hashlib.sha256(b"\0" + span["text"].encode()).digest()
            assert folded(leaf, span["row"], segment["rows"], span["proof"]).hex() == segment["root"]
        entry = segment["entry"]
        assert segment["root"] in entry["text"]
        leaf = hashlib.sha256(b"\0" + entry["text"].encode()).digest()
        assert folded(leaf, entry["index"], size, entry["proof"]) == root
    assert checked > 10


def test_an_incident_that_is_not_sealed_says_so(run, filled, tmp_path):
    """A conversation that is still in a journal is exported, and nothing of it is called proven."""
    found = run("export", "--incident", "case-2", "--out", tmp_path / "i.zip", "--store", filled.path)
    assert (found.exit_code, found.stdout) == (Exit.OK, "case-2: 0 of 3 records proven.\n")
    assert "still in the journal" in found.stderr
    with zipfile.ZipFile(tmp_path / "i.zip") as archive:
        assert b"This folder holds no proofs" in archive.read("incident.html")


def test_an_id_never_becomes_a_path(run, store, script, tmp_path):
    """The default folder's name holds nothing of a hostile id."""
    script.turn("../../../x\n<script>")
    found = run("export", "--incident", "../../../x", "--store", store.path)
    assert found.exit_code == Exit.OK
    assert [p.name[:9] for p in tmp_path.glob("incident*")] == ["incident-"]


def test_migrating_says_where_the_old_store_is(run, tmp_path):
    """The command migrates the golden store, says what it did, and has nothing to do the second time."""
    with tarfile.open(GOLDEN / "v1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    store = tmp_path / "store"
    assert "auditlog migrate" in run("ls", "--store", store).stderr
    found = run("migrate", store, "--dry-run")
    assert (found.exit_code, "all of it verifies" in found.stdout) == (Exit.OK, True)
    found = run("migrate", store)
    assert (found.exit_code, "store.format-1" in found.stderr) == (Exit.OK, True)
    assert "already" in run("migrate", store).stdout
    assert run("ls", "--store", store).exit_code == Exit.OK
