"""What an import pulls in, in a fresh interpreter."""

import subprocess
import sys

HEAVY = {"duckdb", "pyarrow", "textual", "rich", "numpy", "pandas"}


def modules_after(code: str) -> set[str]:
    """Give the top-level modules that are loaded after running `code` in a new process."""
    # A module that is None there was kept out.
    loaded = "{name.partition('.')[0] for name, module in sys.modules.items() if module is not None}"
    report = f"import sys; print('\\n' + ' '.join(sorted({loaded})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


RUN_COMMAND = """
import sys
from importlib.metadata import entry_points
sys.argv = ["auditlog", *{arguments!r}]
try:
    entry_points(group="console_scripts")["auditlog"].load()()
except SystemExit as end:
    assert not end.code, end.code
"""


def test_importing_auditlog_is_cheap() -> None:
    """`import auditlog` loads neither a database, nor a screen, nor the command line."""
    assert set() == modules_after("import auditlog") & (HEAVY | {"click", "replay", "tui"})


def test_recording_is_cheap(tmp_path) -> None:
    """Recording a call loads neither a database, nor a screen, nor the command line."""
    code = f"""
import auditlog
auditlog.configure({str(tmp_path / "audit")!r})
@auditlog.tool(effect="read")
def look_up(order): return {{"order": order}}
@auditlog.agent
def answer(question): return str(look_up(7))
with auditlog.conversation("c-1"):
    answer("Where is my order?")
auditlog.shutdown()
"""
    assert set() == modules_after(code) & (HEAVY | {"click", "replay", "tui"})


def test_help_is_cheap() -> None:
    """`auditlog --help` loads neither a database nor a screen."""
    assert set() == modules_after(RUN_COMMAND.format(arguments=["--help"])) & HEAVY


def test_listing_what_is_sealed_is_cheap(tmp_path) -> None:
    """`auditlog ls` over sealed and indexed conversations loads neither a database engine nor Arrow."""
    store = tmp_path / "audit"
    modules_after(
        f"""
import auditlog
from auditlog.store import Store
auditlog.configure({str(store)!r})
with auditlog.conversation("c-1"):
    auditlog.agent(lambda question: "Here.")("Where is it?")
auditlog.shutdown()
with Store.open({str(store)!r}) as opened:
    assert opened.seal().spans
"""
    )
    listing = RUN_COMMAND.format(arguments=["ls", "--store", str(store)])
    assert set() == modules_after(listing) & (HEAVY | {"tantivy", "wcwidth"})


def test_help_of_a_command_of_another_package_loads_no_screen() -> None:
    """`auditlog replay --help` loads neither a database nor a screen."""
    assert set() == modules_after(RUN_COMMAND.format(arguments=["replay", "--help"])) & HEAVY


def test_help_of_the_gate_loads_no_statistics() -> None:
    """`auditlog gate --help` loads neither a database, a screen nor scipy."""
    assert set() == modules_after(RUN_COMMAND.format(arguments=["gate", "--help"])) & (
        HEAVY | {"scipy", "numpy"}
    )
