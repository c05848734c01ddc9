"""Anchors: checkpoints outside the store, put there and found again."""

import subprocess

import pytest

from auditlog.errors import ConfigurationError, StoreError
from auditlog.layout import ensure
from auditlog.ledger import anchors
from auditlog.ledger.ledger import append_entry
from auditlog.ledger.note import find_checkpoints, parse_checkpoint


def git(path, *words):
    """Run git in a repository; give what it says."""
    return subprocess.run(["git", "-C", path, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    """Give a git repository with a commit, a staged file and a changed one."""
    path = tmp_path / "repository"
    git(tmp_path, "init", "-q", str(path))
    for name in ("kept", "changed", "staged"):
        (path / name).write_text(name)
    git(path, "add", "kept", "changed")
    git(path, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", "One")
    git(path, "add", "staged")
    (path / "changed").write_text("more")
    return path


def test_a_file_gets_a_line_each_time(attacker, tmp_path):
    """Each anchoring appends one line, an entry tells of it, and verifying finds them all."""
    path = tmp_path / "anchors.txt"
    path.write_text("something else\n")
    first = anchors.to_file(attacker.layout, path)
    second = anchors.to_file(attacker.layout, path)
    assert (4, 5) == (first.size, second.size)
    assert [first, second] == find_checkpoints(path.read_text())
    report = attacker.verify()
    assert ("VALID", 5, 6) == (report.outcome, report.anchored, report.entries)
    assert {str(path)} == {anchor.where for anchor in report.anchors}


def test_a_repository_gets_a_commit_and_keeps_its_work(attacker, repository):
    """The note is committed to a branch of its own; what is staged, changed and checked out stays as it is."""
    before = git(repository, "status", "--porcelain"), git(repository, "log", "--oneline")
    head = anchors.to_git(attacker.layout, repository)
    anchors.to_git(attacker.layout, repository)
    assert before == (git(repository, "status", "--porcelain"), git(repository, "log", "--oneline"))
    assert "auditlog <auditlog@localhost>\n" * 2 == git(
        repository, "log", "--format=%an <%ae>", anchors.BRANCH
    )
    name = git(repository, "ls-tree", "--name-only", anchors.BRANCH).strip()
    assert head == parse_checkpoint(git(repository, "show", f"{anchors.BRANCH}~1:{name}"))
    assert [5, 4] == [anchor.size for anchor in attacker.verify().anchors]


def test_what_git_refuses_is_an_error_and_no_entry(attacker, tmp_path):
    """A directory that is no repository is named, and nothing claims to be anchored."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(StoreError, match=r"git refuses in .*plain.*git init"):
        anchors.to_git(attacker.layout, tmp_path / "plain")
    assert 4 == len(attacker.entries())


def test_opentelemetry_gets_a_log_record(attacker):
    """The checkpoint goes out as one log record, whole, and an entry tells of it."""
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    head = anchors.to_otel(attacker.layout, provider)
    (record,) = exporter.get_finished_logs()
    told = record.log_record.attributes["auditlog.ledger.checkpoint"]
    assert (head, "auditlog checkpoint") == (parse_checkpoint(told), record.log_record.body)
    provider.shutdown()
    assert "VALID" == attacker.verify(known=find_checkpoints(told)).outcome


def test_without_a_logger_provider_nothing_is_anchored(attacker):
    """Where the program has configured no provider, that is an error, and no entry claims otherwise."""
    with pytest.raises(ConfigurationError, match="No OpenTelemetry logger provider"):
        anchors.to_otel(attacker.layout)
    assert 4 == len(attacker.entries())


def test_a_ledger_written_anew_is_found_by_its_anchor(attacker, tmp_path):
    """Whoever holds the key writes the past anew: the anchor within reach does not go with it."""
    anchors.to_file(attacker.layout, tmp_path / "anchors.txt")
    attacker.change_entry(3, lambda entry: entry.update(who="nobody"), attacker.key())
    report = attacker.verify()
    assert "DIVERGED" == report.outcome
    assert "anchors.txt: it knows other entries among the first 4" in report.divergences[0]


@pytest.mark.parametrize("place", ["missing", "fifo", "directory", "empty", "device"])
def test_an_anchor_out_of_reach_is_told_and_does_no_harm(attacker, tmp_path, place):
    """Whatever stands where an anchor should be, verifying goes on, and says what is out of reach."""
    path = tmp_path / "anchors.txt"
    anchors.to_file(attacker.layout, path)
    path.unlink()
    if place == "fifo":
        subprocess.run(["mkfifo", path], check=True)
    if place == "directory":
        path.mkdir()
    if place == "empty":
        path.touch()
    if place == "device":
        path.symlink_to("/dev/zero")
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", []) == (report.outcome, report.faults)
    assert f"the anchor {path} is out of reach" in report.notes[0]


def test_a_ledger_without_a_signature_is_not_anchored(tmp_path):
    """There is nothing to anchor where nothing is signed."""
    layout = ensure(tmp_path / "audit")
    with pytest.raises(StoreError, match="has no signed checkpoint"):
        anchors.to_file(layout, tmp_path / "anchors.txt")
    append_entry(layout, {"type": "access", "who": "u"})
    assert 1 == anchors.to_file(layout, tmp_path / "anchors.txt").size
