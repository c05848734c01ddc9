"""What an agent's own sources read that nothing pins."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from replay.pinned.direct_reads import direct_reads, reads_of


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time\ntime.time()", [("clock", 2, "time.time")]),
        ("from time import time as t\nx = t", [("clock", 2, "time.time")]),
        ("from datetime import datetime as d\nd.now()", [("clock", 2, "datetime.datetime.now")]),
        ("import datetime\ndatetime.date.today()", [("clock", 2, "datetime.date.today")]),
        ("import random\nrandom.random()", [("random", 2, "random.random")]),
        ("import random\nrandom.Random(1).random()", []),
        ("import random\nrandom.Random().random()", [("secret", 2, "random.Random")]),
        ("import random\nrandom.Random(None)", [("secret", 2, "random.Random")]),
        ("import random\ndef f(rng: random.Random): ...", []),
        ("import numpy as np\nnp.random.default_rng()", [("secret", 2, "numpy.random.default_rng")]),
        ("import numpy as np\nnp.random.default_rng(seed=7)", []),
        ("import uuid\nuuid.uuid7()", [("secret", 2, "uuid.uuid7")]),
        ("import random\nrandom.SystemRandom()", [("secret", 2, "random.SystemRandom")]),
        ("import numpy as np\nnp.random.rand(3)", [("random", 2, "numpy.random.rand")]),
        ("import uuid\nuuid.uuid4().hex", [("random", 2, "uuid.uuid4")]),
        ("import secrets\nsecrets.token_hex()", [("secret", 2, "secrets.token_hex")]),
        ("import os\nos.environ['X']", [("environment", 2, "os.environ")]),
        ("import os\nos.environ.get('X')", [("environment", 2, "os.environ")]),
        ("from os import getenv\ngetenv('X')", [("environment", 2, "os.getenv")]),
        ("import httpx\nhttpx.get('x')", [("network", 2, "httpx.get")]),
        ("import urllib.request\nurllib.request.urlopen('x')", [("network", 2, "urllib.request.urlopen")]),
        ("import time\ntime.monotonic(); time.sleep(1)", []),
        ("class A:\n  def now(self): ...\nA().now()", []),
        ("time = 3\ntime", []),
        ("from .time import time\ntime()", []),
        ("def broken(:", []),
    ],
)
def test_a_place_is_found_by_what_its_name_was_imported_as(source, expected):
    """Renamed imports are seen through, and a name that only looks like one is not taken for it."""
    assert expected == reads_of(source)


def test_only_the_agents_own_modules_are_read(tmp_path, monkeypatch):
    """A module of the run's directory is named from there; installed ones, Python's and ours are left out."""
    file = tmp_path / "shop_that_reads.py"
    file.write_text("import time\n\n\ndef f():\n    return time.time()\n")
    spec = importlib.util.spec_from_file_location("shop_that_reads", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "shop_that_reads", module)
    spec.loader.exec_module(module)
    # This process has loaded other tests, too, which read a great deal.
    monkeypatch.setattr("replay.pinned.direct_reads.MOST_PLACES", 1_000_000)
    found = direct_reads([str(tmp_path)])
    files = {line.split()[1].partition(":")[0] for line in found}
    assert "clock shop_that_reads.py:5 time.time" in found
    assert files.isdisjoint({"seeds.py", "clock.py"})
