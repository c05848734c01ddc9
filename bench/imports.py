"""What it costs to start: CPU of a fresh interpreter that imports, or runs a command.

Prints the median over several processes, and what is added to an interpreter that does nothing. The OpenTelemetry API
alone stands beside the first decorator, which needs it, and click beside the command line. Bytecode is compiled before,
as it is wherever a package has been installed or used once.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile

RUNS = 11

ROWS = (
    ("an interpreter that does nothing", ("-c", "pass"), None),
    ("import auditlog", ("-c", "import auditlog"), 60),
    ("import opentelemetry.trace", ("-c", "import opentelemetry.trace"), None),
    ("the first decorator", ("-c", "import auditlog; auditlog.tool"), None),
    ("the first record", ("-c", "import auditlog; auditlog.tool(lambda: 1)()"), None),
    ("import click", ("-c", "import click"), None),
    ("auditlog --help", ("-m", "auditlog.cli", "--help"), 100),
)


def milliseconds(command: tuple[str, ...], store: str) -> float:
    """Give the CPU of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"AUDITLOG_STORE": f"{store}/audit", "AUDITLOG_SEAL": "off"}
    environment["PYTHONPYCACHEPREFIX"] = f"{store}/bytecode"
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as store:
        took: dict[str, list[float]] = {name: [] for name, _, _ in ROWS}
        for _, command, _ in ROWS:
            milliseconds(command, store)
        for _ in range(RUNS):
            for name, command, _ in ROWS:
                took[name].append(milliseconds(command, store))
    bare = statistics.median(took[ROWS[0][0]])
    print(f"{'':<36}{'CPU ms':>8}{'added':>8}")
    for name, _, most in ROWS:
        value = statistics.median(took[name])
        verdict = "" if most is None else f"  ≤ {most}: {'yes' if value <= most else 'NO'}"
        print(f"{name:<36}{value:>8.0f}{value - bare:>8.0f}{verdict}")


if __name__ == "__main__":
    main()
