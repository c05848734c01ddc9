"""Scores are kept by which scorer gave them, and not by a name that anybody may give."""

from __future__ import annotations

import sys

import pytest

from replay.errors import ScorerError
from replay.scorers.specs import ScorerSpec, parse, resolve

MINE = """\
from replay.scorers import scorer

@scorer(name="{name}", version="1", level="hard")
def always_good(subject):
    return {value}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Give what writes a plug-in's module and resolves its scorer, as a new process would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(*, value="True", name="mine", module="kept_by_source", called=""):
        (tmp_path / f"{module}.py").write_text(MINE.format(value=value, name=name))
        sys.modules.pop(module, None)
        sys.dont_write_bytecode = True
        return resolve(ScorerSpec(f"{module}:always_good", {}, called))

    yield write
    sys.modules.pop("kept_by_source", None)
    sys.modules.pop("elsewhere", None)


def test_a_built_in_s_name_means_the_built_in(plugin):
    """Neither `NAME=TARGET` nor what a scorer calls itself takes a hard check's name."""
    with pytest.raises(ScorerError, match="'no_new_pii' is the name of a built-in scorer"):
        parse("no_new_pii=mine:always_good")
    with pytest.raises(ScorerError, match="'no_new_pii' is the name of a built-in scorer"):
        plugin(name="no_new_pii")
    with pytest.raises(ScorerError, match="'no_new_pii' is the name of a built-in scorer"):
        resolve(ScorerSpec("disclosure", {}, "no_new_pii"))
    assert "no_new_pii" == resolve(parse("no_new_pii=no_new_pii")).name


def test_a_plug_in_that_was_mended_scores_anew(plugin):
    """The same version with another source is another scorer; the same source is the same."""
    first = plugin().key()

    assert first == plugin().key()
    assert first != plugin(value="False").key()


def test_another_module_s_scorer_of_one_name_is_another(plugin):
    """What is kept under a name says where it is from."""
    assert plugin(called="x").key() != plugin(called="x", module="elsewhere").key()
    assert (
        resolve(ScorerSpec("no_new_pii", {}, "x")).key() != resolve(ScorerSpec("no_new_write", {}, "x")).key()
    )
