"""What is to be done with a module is done when it is imported, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(*lines: str) -> str:
    """Run lines in a process of its own; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def test_recording_http_loads_no_client():
    """Whoever records HTTP pays for no library that the agent does not use."""
    said = python(
        "import sys, auditlog",
        "auditlog.record_http()",
        "print(sorted({'httpx', 'httpx2', 'urllib3', 'requests'} & sys.modules.keys()))",
    )
    assert "[]" == said


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("name", "place"), [("httpx", "HTTPTransport.handle_request"), ("urllib3", "HTTPConnectionPool.urlopen")]
)
def test_a_client_is_met_whenever_it_is_imported(name, place, early):
    """A client that is imported before or after is recorded all the same, and keeps its own loader."""
    pytest.importorskip(name)
    lines = ["import auditlog", f"import {name}" if early else "", "auditlog.record_http()", f"import {name}"]
    said = python(
        *lines,
        "import operator",
        f"print(hasattr(operator.attrgetter('{place}')({name}), '__auditlog__'), type({name}.__loader__).__name__)",
    )
    assert "True SourceFileLoader" == said


def test_a_module_that_fails_is_met_the_next_time(tmp_path):
    """An import that fails fails as it would, and the next one is seen."""
    module = tmp_path / "breaks.py"
    module.write_text("import os\nif 'BREAKS' in os.environ: raise ValueError('broken')\n", encoding="utf-8")
    said = python(
        "import os, sys",
        f"sys.path.insert(0, {str(tmp_path)!r})",
        "from auditlog.late_import import when_imported",
        "seen = []",
        "when_imported('breaks', lambda module: seen.append(module.__name__))",
        "os.environ['BREAKS'] = '1'",
        "try: import breaks",
        "except ValueError as error: print(error, seen)",
        "del os.environ['BREAKS']",
        "import breaks",
        "print(seen)",
    )
    assert "broken []\n['breaks']" == said


@pytest.mark.parametrize(
    ("name", "place"), [("httpx", "HTTPTransport.handle_request"), ("urllib3", "HTTPConnectionPool.urlopen")]
)
def test_a_client_that_is_looked_for_or_loaded_again_is_met_too(name, place):
    """A look for a client takes nothing away from its import, and a second load of it is met like the first."""
    said = python(
        "import importlib, importlib.util, operator, sys, auditlog",
        "auditlog.record_http()",
        f"assert importlib.util.find_spec('{name}') is not None",
        f"assert importlib.util.find_spec('{name}') is not None",
        f"met = lambda: hasattr(operator.attrgetter('{place}')(importlib.import_module('{name}')), '__auditlog__')",
        "print(met())",
        f"for each in [each for each in sys.modules if each.partition('.')[0] == '{name}']: del sys.modules[each]",
        "print(met())",
    )
    assert "True\nTrue" == said


def test_a_client_that_was_loaded_before_is_met_when_it_is_loaded_again():
    """Whoever records HTTP with a client at hand records the one that takes its place, too."""
    said = python(
        "import sys, urllib3, auditlog",
        "auditlog.record_http()",
        "for each in [each for each in sys.modules if each.partition('.')[0] == 'urllib3']: del sys.modules[each]",
        "import urllib3",
        "print(hasattr(urllib3.HTTPConnectionPool.urlopen, '__auditlog__'))",
    )
    assert "True" == said


def test_a_finder_that_asks_the_others_is_asked_once_and_what_is_done_is_done_once(tmp_path):
    """Two hooks that stand before the finders, and each ask all of them, do not ask each other for ever."""
    (tmp_path / "plain.py").write_text("", encoding="utf-8")
    said = python(
        "import importlib.util, sys",
        f"sys.path.insert(0, {str(tmp_path)!r})",
        "from auditlog.late_import import when_imported",
        "class Other:",
        "    busy = False",
        "    def find_spec(self, name, path, target=None):",
        "        if self.busy or name != 'plain': return None",
        "        self.busy = True",
        "        try: return importlib.util.find_spec(name)",
        "        finally: self.busy = False",
        "seen = []",
        "when_imported('plain', lambda module: seen.append(module.__name__))",
        "sys.meta_path.insert(0, Other())",
        "import plain",
        "sys.meta_path.append(sys.meta_path.pop(0))",
        "del sys.modules['plain']",
        "import plain",
        "print(seen)",
    )
    assert "['plain', 'plain']" == said
