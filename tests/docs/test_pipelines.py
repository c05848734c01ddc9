"""The pipelines of docs/release.md, run as a runner would: the very commands, in a checkout of the sample agent.

The rules:

1. Of a pipeline, only what is one's own is put in: the agent, the stores, the event. Every command is the page's.
2. What is installed is a wheel of this checkout, by the page's commands. Its dependencies are those of this environment, so
   that no index is asked.
3. `gh` is a script that notes what it was asked.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
CONVERSATIONS = 90

GH = """\
#!/bin/sh
echo "$*" >> "$GH_LOG"
case "$*" in *--jq*) [ ! -f "$GH_COMMENT" ] || cat "$GH_COMMENT" ;; esac
"""


@pytest.fixture(scope="module")
def github():
    """The job of GitHub Actions."""
    return pytest.importorskip("yaml").safe_load(FILES["gate.github.yml"])["jobs"]["gate"]


@pytest.fixture(scope="module")
def gitlab():
    """The jobs of GitLab CI."""
    return pytest.importorskip("yaml").safe_load(FILES["gate.gitlab.yml"])


class Runner:
    """A runner's machine: a clone of the agent's repository, both stores, and an environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.checkout = home / "checkout"
        self.path = [str(home / "tools"), *os.environ["PATH"].split(os.pathsep)]
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR", "TZ") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(home),
            "GH_LOG": str(home / "gh.log"),
            "GH_COMMENT": str(home / "comment"),
            "GITHUB_PATH": str(home / "path"),
            "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
            "GITHUB_REPOSITORY": "marrowby/agent",
        }
        for variable in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GH_LOG"):
            Path(self.environment[variable]).touch()

    def run(self, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a step's commands, as both GitHub and GitLab do: in a shell that ends at the first failure."""
        added = Path(self.environment["GITHUB_PATH"]).read_text(encoding="utf-8").split()
        path = os.pathsep.join([*reversed(added), *self.path])
        return subprocess.run(
            ["bash", "-e", "-c", commands],
            cwd=self.checkout,
            env={**self.environment, "PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def set_up(self, commands: str, **environment: str) -> str:
        """Run commands that are not the page's."""
        done = self.run(commands, **environment)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """A machine with a repository that has one commit in production and a harmless one on main, and yesterday's traffic."""
    runner = Runner(tmp_path_factory.mktemp("runner"))
    tools = runner.home / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH, encoding="utf-8")
    (tools / "gh").chmod(0o755)

    runner.checkout.mkdir()
    ours = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples", runner.checkout / "examples", ignore=ours)
    pins = runner.checkout / "ci" / "auditlog"
    pins.mkdir(parents=True)
    # The sample agent's model is in its own process, and asks nobody for patience.
    script = FILES["gate.sh"].replace("300rpm", "60000rpm")
    (runner.checkout / "ci" / "gate.sh").write_text(script, encoding="utf-8")
    (pins / "requirements.lock").write_text("# What this environment holds already.\n", encoding="utf-8")
    _put_in_wheel(pins)

    here = Path(sys.executable).parent
    runner.set_up(f'"{here}/auditlog" gate --init && "{here}/auditlog" init --store "$HOME/gate"')
    policy = runner.checkout / "gate.toml"
    text = policy.read_text(encoding="utf-8").replace('# owner = "Name', 'owner = "Name', 1)
    policy.write_text(text.replace("# rollback = 2026-11-10", f"rollback = {_today()}"), encoding="utf-8")

    day = runner.home / "day.jsonl.gz"
    _write_yesterday(day)
    runner.set_up(f'"{here}/auditlog" import "{day}" --store "$HOME/production"')

    runner.set_up(
        """
        git config --global user.name Reader
        git config --global user.email reader@example.com
        git init -q -b main .
        git add .
        git commit -q -m "Answer"
        git branch production
        echo "# Nothing else." >> examples/support_bot/agent_v1.py
        git commit -q -a -m "Say nothing else"
        git clone -q --bare . ../origin.git
        git remote add origin ../origin.git
        git fetch -q origin
        """
    )
    return runner


def _put_in_wheel(pins: Path) -> None:
    """Build the wheel by the page's commands, on a copy of what is in this checkout."""
    source = pins.parents[2] / "source"
    left_out = shutil.ignore_patterns("__pycache__", ".*", "tests", "bench", "docs", "audit*-demo")
    shutil.copytree(ROOT, source, ignore=left_out)
    (source / "docs").mkdir()
    build = re.search(r"^python -m pip (wheel .*)$", PAGE, re.MULTILINE)[1].replace("CHECKOUT", str(source))
    done = subprocess.run(
        [sys.executable, "-m", "pip", *build.split(), "--no-index", "--quiet"],
        cwd=pins.parents[1],
        env={**os.environ, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    (wheel,) = pins.glob("*.whl")
    name = wheel.relative_to(pins.parents[1])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (pins / "wheel.txt").write_text(f"./{name} --hash=sha256:{digest}\n", encoding="utf-8")
    shutil.rmtree(source)


def _write_yesterday(path: Path) -> None:
    """Write sample traffic as if it had been recorded yesterday."""
    with gzip.open(ROOT / "sample_traces" / "support_bot.v1.otlp.jsonl.gz", "rt", encoding="utf-8") as file:
        text = "".join(list(file)[:CONVERSATIONS])
    moments = [int(found) for found in re.findall(r'UnixNano":"(\d+)"', text)]
    began = datetime.fromtimestamp(min(moments) / 1e9, tz=UTC).astimezone().date()
    later = (_today() - timedelta(days=1) - began).days * 86_400 * 10**9
    moved = re.sub(r'UnixNano":"(\d+)"', lambda found: f'UnixNano":"{int(found[1]) + later}"', text)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(moved)


def _today() -> date:
    return datetime.now(UTC).astimezone().date()


def _own(runner: Runner, variables: dict[str, str], **more: str) -> dict[str, str]:
    """Give a job's variables with one's own agent and stores in the place of the page's."""
    given = {
        **{name: str(value) for name, value in variables.items()},
        "AGENT": "examples.support_bot:v1",
        "PRODUCTION": str(runner.home / "production"),
        "AUDITLOG_STORE": str(runner.home / "gate"),
        "OPENAI_API_KEY": "not-a-key",
        **more,
    }
    assert [] == [name for name, value in given.items() if "${{" in value], "an expression that nobody put in"
    return given


def _step(job: dict, name: str) -> dict:
    return next(step for step in job["steps"] if step.get("name") == name)


def _lend_packages(runner: Runner) -> None:
    """Let the runner's environment find this one's packages, behind its own."""
    (site,) = (runner.checkout / ".gate" / "lib").glob("python*/site-packages")
    here = next(entry for entry in sys.path if entry.endswith("site-packages"))
    (site / "zz_lent.pth").write_text(f"{here}\n", encoding="utf-8")


@pytest.mark.slow
def test_the_pipelines_reach_their_verdicts(github, gitlab, runner):
    """GitHub's daily job ends with PASS and the verdict at home; a worse change fails at GitLab, and is commented on once."""
    installed = runner.run(_step(github, "Install")["run"])
    assert 0 == installed.returncode, installed.stdout + installed.stderr
    _lend_packages(runner)
    found = runner.set_up("command -v auditlog; cd /; python -c 'import auditlog; print(auditlog.__file__)'")
    assert all(str(runner.checkout / ".gate") in line for line in found.splitlines())

    day = _own(runner, github["env"], MODE="day", BASELINE="origin/production")
    done = runner.run(_step(github, "Judge")["run"], **day)
    assert 0 == done.returncode, done.stdout + done.stderr

    verdict = (runner.checkout / "gate.md").read_text(encoding="utf-8")
    assert verdict.startswith("<!-- auditlog-gate -->\n## ✅ PASS")
    assert "git:HEAD (" in verdict
    assert "git:origin/production (" in verdict
    assert verdict == Path(runner.environment["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    run_id = json.loads((runner.checkout / "run.json").read_text(encoding="utf-8"))["run"]["run_id"]
    (kept,) = json.loads(runner.set_up(f"auditlog gate {run_id} --show --format json", **day))
    assert "PASS" == kept["verdict"]
    assert kept["candidate"].startswith("git:HEAD (")
    assert "auditlog-checkpoint" in done.stderr
    runner.set_up("auditlog verify", **day)
    assert not (runner.checkout / "traffic.json.gz").exists()

    runner.set_up(
        """
        git checkout -q -b worse
        sed -i -e 's/import v1, v1_brief/import v1_brief/' -e 's/import v2$/&; v1 = v2/' examples/support_bot/__init__.py
        git commit -q -a -m "Pay everybody"
        rm gate.* run.json
        git checkout -q -- gate.toml
        """
    )
    job = gitlab["gate-change"]
    variables = {**gitlab[".gate"]["variables"], **job["variables"]}
    change = _own(runner, variables, BASELINE="origin/main")
    done = runner.run("\n".join(job["script"]), **change)
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "new_write" in (runner.checkout / "gate.xml").read_text(encoding="utf-8")

    comment, log = _step(github, "Comment")["run"], Path(runner.environment["GH_LOG"])
    runner.set_up(comment, NUMBER="7")
    assert "api --method POST repos/marrowby/agent/issues/7/comments" in log.read_text(encoding="utf-8")
    Path(runner.environment["GH_COMMENT"]).write_text("4711\n4712\n", encoding="utf-8")
    runner.set_up(comment, NUMBER="7")
    assert "api --method PATCH repos/marrowby/agent/issues/comments/4711" in log.read_text(encoding="utf-8")


def test_what_has_no_answer_is_no_verdict(runner):
    """Where the traffic does not come, or the word is misspelt, the script ends with 3, and not with a verdict's code."""
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join((here, *runner.path))
    mine = _own(runner, {"MODEL_HOST": "a:1", "MODEL_KEY": "K", "BASELINE": "origin/production"}, PATH=path)

    misspelt = runner.run("sh ci/gate.sh dya", **mine)
    missing = runner.run("sh ci/gate.sh day", **{**mine, "PRODUCTION": str(runner.home / "nowhere")})

    assert (3, 3) == (misspelt.returncode, missing.returncode)
    assert "No verdict: say day or change" in misspelt.stderr
    assert "No verdict: yesterday's traffic did not come" in missing.stderr


def test_both_pipelines_run_the_same(github, gitlab):
    """GitLab installs and judges with the commands that GitHub does, and knows the same variables."""
    install = _step(github, "Install")["run"].splitlines()
    assert install[:2] == gitlab[".gate"]["before_script"][:2]
    assert ["sh ci/gate.sh day"] == gitlab["gate-day"]["script"]
    assert ["sh ci/gate.sh change"] == gitlab["gate-change"]["script"]
    assert 'sh ci/gate.sh "$MODE"' in _step(github, "Judge")["run"]

    used = set(re.findall(r"\$\{?([A-Z_]{3,})", FILES["gate.sh"]))
    assert used <= set(github["env"])
    assert used <= set(gitlab[".gate"]["variables"])


def test_an_inconclusive_change_warns(github, runner):
    """GitHub's job takes INCONCLUSIVE for a warning on a change, and for a stop every day."""
    judge = _step(github, "Judge")["run"].replace('sh ci/gate.sh "$MODE"', "(exit 2)")

    change, day = runner.run(judge, MODE="change"), runner.run(judge, MODE="day")

    assert (0, 2) == (change.returncode, day.returncode)
    assert change.stdout.startswith("::warning::INCONCLUSIVE")
