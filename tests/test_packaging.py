"""What is shipped: the wheel's contents, and lock files that name no place to download from."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
_PIN = re.compile(r"^(\S+)==(\S+)(?: ; ([^\\]+))?", re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A wheel built from this tree, without a network."""
    into = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(into.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(built) -> list[str]:
    """The names in that wheel."""
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_the_wheel_takes_exactly_three_import_names(wheel) -> None:
    """Nothing but auditlog, replay, tui and the metadata stands at the top of the wheel."""
    top = {name.partition("/")[0] for name in wheel}
    assert {"auditlog", "replay", "tui"} == {name for name in top if not name.endswith(".dist-info")}


@pytest.mark.slow
@pytest.mark.parametrize("directory", ["schemas", "sample_traces", "examples"])
def test_the_wheel_holds_every_file_of_the_data_directories(wheel, directory) -> None:
    """Schemas, sample traffic and the sample agent travel inside auditlog, complete."""
    listed = subprocess.run(
        ["git", "ls-files", directory], cwd=ROOT, capture_output=True, text=True, check=False
    )
    expected = {f"auditlog/bundled/{name}" for name in listed.stdout.splitlines()}
    assert expected, f"{directory}/ is empty, or this is no checkout"
    assert set() == expected - set(wheel)


@pytest.mark.slow
def test_the_wheel_holds_licence_commands_and_no_leavings(wheel) -> None:
    """The licence and the entry points are in the wheel, tests and caches are not."""
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
    assert [] == [name for name in wheel if "__pycache__" in name or name.startswith(("tests/", "bench/"))]


@pytest.mark.slow
def test_an_installed_wheel_finds_its_data(built, tmp_path) -> None:
    """Away from the checkout, schemas, sample traffic and the sample agent are found inside the package."""
    with zipfile.ZipFile(built) as archive:
        archive.extractall(tmp_path)
    code = (
        "from auditlog.resources import directory\n"
        "for name in ('schemas', 'sample_traces', 'examples'): print(directory(name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    bundled = tmp_path / "auditlog" / "bundled"
    expected = [str(bundled / name) for name in ("schemas", "sample_traces", "examples")]
    assert expected == done.stdout.splitlines()


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_project(tmp_path) -> None:
    """The sdist holds the packages, the data, the tests and the licence."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert {"auditlog", "replay", "tui", "schemas", "sample_traces", "examples", "LICENSE"} <= tops
    assert ".venv" not in tops


def test_there_are_lock_files() -> None:
    """The lock files that the Makefile installs from exist."""
    names = [
        "requirements-dev.lock",
        "requirements-names.lock",
        "requirements-ray.lock",
        "requirements-smollm2.lock",
        "requirements.lock",
    ]
    assert names == [lock.name for lock in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_pins_and_hashes_and_no_addresses(lock) -> None:
    """Where packages come from is a matter of the machine, never of the repository."""
    text = lock.read_text(encoding="utf-8")
    assert (
        re.search(r"https?:|file:|@ |--index-url|--extra-index-url|--find-links|--trusted-host", text) is None
    )
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[A-Za-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_every_dependency_is_locked() -> None:
    """Each dependency of pyproject.toml has a pin."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for wanted, lock in (
        (project["dependencies"], "requirements.lock"),
        (extras["dev"], "requirements-dev.lock"),
        (extras["ray"], "requirements-ray.lock"),
        (extras["smollm2"], "requirements-smollm2.lock"),
        (extras["names"], "requirements-names.lock"),
    ):
        pinned = {line.partition("==")[0] for line in (ROOT / lock).read_text().splitlines() if "==" in line}
        assert set() == {re.split(r"[><=~!;\[ ]", name)[0] for name in wanted} - pinned


def test_the_locks_agree() -> None:
    """A package that stands in two lock files has one version for each Python and platform."""
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version, marker in _PIN.findall(lock.read_text(encoding="utf-8")):
            versions.setdefault(name + marker, set()).add(version)
    assert {} == {name: found for name, found in versions.items() if len(found) > 1}
