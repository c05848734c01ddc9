"""`auditlog verify`, `prove` and `anchor`: what they print, and how they end."""

import json
import os

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main
from auditlog.errors import StoreError
from auditlog.integrity.verify import verify
from auditlog.ledger.ledger import append_entry
from auditlog.ledger.note import find_checkpoints


@pytest.fixture
def run(attacker):
    """Give a function that runs a command on the attacked store; its result has `exit_code`, `stdout` and `stderr`."""

    def running(*words, stdin=None, store=attacker.path):
        return CliRunner().invoke(main, ["--store", str(store), *map(str, words)], input=stdin)

    return running


def test_verify_ends_with_its_four_outcomes(run, attacker, built, tmp_path):
    """0 for VALID and VALID-BUT-UNANCHORED, 3 for the latter where an anchor is required, 1 and 2 for what is wrong."""
    known = tmp_path / "known"
    known.write_text(built.checkpoint().note())
    found = run("verify")
    assert (0, True) == (found.exit_code, found.stdout.startswith("VALID-BUT-UNANCHORED  "))
    assert 3 == run("verify", "--require-anchor").exit_code
    found = run("verify", "--require-anchor", "--known-checkpoint", known, "--deep")
    assert (0, True) == (found.exit_code, found.stdout.startswith("VALID  "))
    attacker.write_entries(attacker.entries()[:2], attacker.key())
    for path in attacker.segments():
        if not any(str(path.name).encode() in entry for entry in attacker.entries()):
            path.unlink()
    assert 0 == run("verify").exit_code
    found = run("verify", "--known-checkpoint", known)
    assert (2, True) == (found.exit_code, found.stdout.startswith("DIVERGED  "))
    first, second = attacker.segments()
    first.unlink()
    second.write_bytes(b"")
    found = run("verify")
    assert (1, True) == (found.exit_code, found.stdout.startswith("INVALID  "))
    assert all(f"{path.relative_to(attacker.path)}: " in found.stdout for path in (first, second))


def test_a_known_checkpoint_may_be_a_file_a_log_a_line_or_stdin(run, built, tmp_path):
    """Whatever form a checkpoint was kept in, it is found; where there is none, the command line has no meaning."""
    head = built.checkpoint()
    log = tmp_path / "seal.log"
    log.write_text(f"Sealed 1 journal file\n{head.line()}\nmore\n")
    for told in (log, head.line(), head.note()):
        assert run("verify", "--known-checkpoint", told).stdout.startswith("VALID  ")
    assert run("verify", "--known-checkpoint", "-", stdin=head.note()).stdout.startswith("VALID  ")
    log.write_text("nothing here\n")
    for told in (log, tmp_path / "missing"):
        found = run("verify", "--known-checkpoint", told)
        assert (4, "") == (found.exit_code, found.stdout)


def test_a_public_key_from_elsewhere_is_trusted_instead(run, attacker, built, tmp_path):
    """A verifier key, a file with one, and PEM are the same key; another's is told, and what is no key is no answer."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    signer = built.key()
    pem = tmp_path / "key.pem"
    pem.write_bytes(signer.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    text = tmp_path / "key.txt"
    text.write_text(f"{signer.key}\n")
    for told in (str(signer.key), text, pem):
        found = run("verify", "--public-key", told)
        assert (0, True) == (found.exit_code, "(yours)" in found.stdout)
    attacker.write_entries(attacker.entries(), attacker.own_key())
    assert 0 == run("verify").exit_code
    for told in (str(signer.key), pem):
        assert 1 == run("verify", "--public-key", told).exit_code
    for told in ("a+b+c", tmp_path / "missing", log_of(tmp_path)):
        assert 4 == run("verify", "--public-key", told).exit_code


def log_of(path):
    """Give a file that holds no key."""
    (path / "none").write_text("nothing\n")
    return path / "none"


def test_verify_says_the_same_as_json(run, attacker):
    """JSON has the outcome, every fault with its file, and the counts."""
    path = attacker.segments()[0]
    path.unlink()
    told = json.loads(run("verify", "--format", "json").stdout)
    assert ("INVALID", 4, 4, 0, 3) == tuple(
        told[name] for name in ("outcome", "entries", "signed", "unsigned", "segments")
    )
    assert [{"path": str(path.relative_to(attacker.path)), "what": "is missing"}] == told["faults"]


def test_verify_works_on_a_read_only_copy_without_a_key(run, attacker):
    """Nothing is written, and the private key is not needed."""
    (attacker.path / "keys" / "ledger.key").unlink()
    before = {path: path.stat().st_mtime_ns for path in attacker.path.rglob("*")}
    assert 0 == run("verify", "--deep").exit_code
    assert before == {path: path.stat().st_mtime_ns for path in attacker.path.rglob("*")}


def test_what_is_no_store_is_an_error_and_no_outcome(run, tmp_path):
    """A path without a store ends with 3, and nothing on stdout."""
    found = run("verify", store=tmp_path / "nowhere")
    assert (4, "") == (found.exit_code, found.stdout)
    assert "does not exist" in found.stderr


def test_settings_that_do_not_read_are_a_fault_and_no_error(run, attacker):
    """A damaged `store.toml` is INVALID, and named."""
    attacker.layout.settings.write_text("format = ")
    found = run("verify")
    assert (1, True) == (found.exit_code, "store.toml: " in found.stdout)


def test_prove_and_verify_a_proof(run, attacker, tmp_path):
    """A proof is written, recorded, checked without the store, and refused when a word of it changes."""
    out = tmp_path / "case.json"
    assert 0 == run("prove", "case-1", "--out", out, "--reason", "complaint 12").exit_code
    entry = json.loads(attacker.entries()[-1])
    assert ("access", "prove", ["case-1"], "complaint 12") == tuple(
        entry[name] for name in ("type", "action", "ids", "reason")
    )
    known = attacker.checkpoint()
    assert known.note() in (tmp_path / "case.tlog-proof").read_text()
    found = run("verify", "--proof", out, store=tmp_path / "nowhere")
    assert (0, True) == (found.exit_code, found.stdout.startswith("VALID-BUT-UNANCHORED  "))
    assert run("verify", "--proof", out, "--known-checkpoint", known.line()).stdout.startswith("VALID  ")
    out.write_text(out.read_text().replace("question 1", "question 2"))
    found = run("verify", "--proof", out, "--format", "json")
    assert (1, "INVALID") == (found.exit_code, json.loads(found.stdout)["outcome"])
    for text in ("{}", "[1]", "nothing"):
        out.write_text(text)
        assert 0 != run("verify", "--proof", out).exit_code
    assert 3 == run("prove", "no-such-case").exit_code


def test_seal_and_anchor_print_a_checkpoint_that_verifies(run, store, script, tmp_path):
    """What sealing and anchoring print is a checkpoint in one line, good for verifying later."""
    script.turn()
    script.writer.close()
    sealed = run("seal", store=store.path)
    path = tmp_path / "anchors.txt"
    anchored = run("anchor", "--file", path, store=store.path)
    for printed in (sealed.stdout, anchored.stdout, path.read_text()):
        assert 1 == len(find_checkpoints(printed))
        assert "VALID" == verify(store.layout, known=find_checkpoints(printed), jobs=1).outcome
    assert 3 == run("anchor", "--otel", store=store.path).exit_code


def test_doctor_tells_how_the_ledger_stands(run, attacker, tmp_path):
    """Doctor says how far the ledger is signed and whether it was ever anchored, and when it is not what was signed."""
    assert "4 entries, signed to 4" in run("doctor").stdout
    assert "no checkpoint of it was ever anchored outside" in run("doctor").stdout
    run("anchor", "--file", tmp_path / "anchors.txt")
    assert "was ever anchored" not in run("doctor").stdout
    attacker.change_entry(0, lambda entry: entry.update(time=1))
    found = run("doctor")
    assert (1, True) == (found.exit_code, "its entries are not those that were signed" in found.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, which only root can become")
def test_a_user_without_the_key_appends_unsigned(attacker):
    """An entry of a user who may not read the key is written, counted as unsigned, and signed with the owner's next."""
    for path in (attacker.path, *attacker.path.rglob("*")):
        if "keys" not in path.parts:
            path.chmod(0o777 if path.is_dir() else 0o666)
    for parent in attacker.path.parents[: len(attacker.path.parents) - 2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    # A fork, and not a new process: that other user may not even read this checkout.
    attacker.verify()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            append_entry(attacker.layout, {"type": "access", "who": "reader"})
            try:
                append_entry(attacker.layout, {"type": "prune"})
            except StoreError as error:
                code = 0 if "This needs a signed entry (prune)" in str(error) else 2
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", 5, 1) == (report.outcome, report.entries, report.unsigned)
    append_entry(attacker.layout, {"type": "access", "who": "owner"})
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", 6, 0) == (report.outcome, report.entries, report.unsigned)


def test_taking_away_needs_the_key(run, attacker):
    """Compacting, pruning and holding without the signing key are refused, and change nothing: only a signed entry counts."""
    (attacker.path / "keys" / "ledger.key").unlink()
    before = attacker.entries()
    for words in (
        ("compact", "--grace", "0"),
        ("prune", "--older-than", "1s", "--yes"),
        ("hold", "case-0", "--reason", "x"),
    ):
        found = run(*words)
        assert (3, True) == (found.exit_code, "This needs a signed entry" in found.stderr), found.output
    assert before == attacker.entries()
    assert "VALID-BUT-UNANCHORED" == attacker.verify().outcome


def test_doctor_tells_of_a_key_that_others_can_read(run, attacker):
    """A signing key that everybody can read is wrong; one that its directory protects is not."""
    key = attacker.path / "keys" / "ledger.key"
    key.chmod(0o644)
    assert 0 == run("doctor").exit_code
    key.parent.chmod(0o755)
    found = run("doctor")
    assert (1, True) == (
        found.exit_code,
        "everybody on this machine can read" in " ".join(found.stdout.split()),
    )


def test_a_release_that_nobody_signed_is_not_listed_as_one(run, attacker):
    """Listing holds says that the ledger cannot be relied upon, rather than that nothing is held."""
    assert 0 == run("hold", "case-0", "--reason", "complaint").exit_code
    release = {"v": 2, "time": 1, "type": "release", "conversation": "case-0"}
    attacker.write_entries([*attacker.entries(), json.dumps(release).encode()])
    found = run("hold", "--list")
    assert (3, True) == (found.exit_code, "nobody who holds the key wrote it" in found.stderr)
