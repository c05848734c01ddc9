"""The rules of the house that no tool checks."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 500
SOURCES = sorted(
    path
    for directory in ("auditlog", "replay", "tui", "examples", "sample_traces", "bench")
    for path in (ROOT / directory).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def name_of(path: Path) -> str:
    """Give a path as the repository knows it."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """Each test has a docstring that names the behaviour."""
    mute = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert [] == mute


def test_no_module_has_outgrown_its_name() -> None:
    """No module is longer than 500 lines."""
    assert [] == [name_of(path) for path in SOURCES if len(path.read_text("utf-8").splitlines()) > MOST_LINES]


def test_every_module_states_its_rules_or_its_purpose() -> None:
    """Each module of the packages begins with a docstring."""
    assert [] == [
        name_of(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]


def test_nothing_unpickles_or_evaluates_what_was_recorded() -> None:
    """No module of the packages imports a deserialiser that runs code, or calls eval or exec on what is no constant of ours."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    used = {alias.name.partition(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module)):
                    used = {module.partition(".")[0]}
                case ast.Call(func=ast.Name(id="exec"), args=[ast.Constant(), *_]):
                    continue
                case ast.Call(func=ast.Name(id=name)):
                    used = {name}
                case _:
                    continue
            found += [
                f"{name_of(path)}: {name}" for name in used & {"pickle", "marshal", "shelve", "eval", "exec"}
            ]
    assert [] == found


def test_no_module_imports_a_private_name_of_another() -> None:
    """What begins with an underline is its module's own: who runs it from elsewhere gives it a name. Annotations may name it."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for block in ast.walk(tree):
            if (
                isinstance(block, ast.If)
                and isinstance(block.test, ast.Name)
                and block.test.id == "TYPE_CHECKING"
            ):
                block.body.clear()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                ours = str(node.module).partition(".")[0] in ("auditlog", "replay", "tui")
                private = [alias.name for alias in node.names if ours and alias.name.startswith("_")]
                found += [f"{name_of(path)}: {node.module}.{name}" for name in private]
    assert [] == found


def test_the_repository_holds_no_paths_of_a_machine() -> None:
    """No tracked file names a directory that exists on one machine only."""
    pattern = r"(^|[^.[:alnum:]_])/(work|root|home/[a-z]+)/"
    done = subprocess.run(
        ["git", "grep", "-InE", pattern, "--", ".", ":!tests/test_house.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stdout
