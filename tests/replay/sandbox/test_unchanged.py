"""What was changed is found by its version exactly where a look at every name finds it."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.sandbox import intercept, rules, surroundings, unchanged
from replay.sandbox.surroundings import Surroundings
from replay.sandbox.unchanged import Versions

_OWNERS = (rules, intercept, intercept.CaseInterceptor)
_KEYS = st.sampled_from("abcd")
_CHANGES = st.one_of(
    st.tuples(st.just("set"), _KEYS, st.integers(0, 3)),
    st.tuples(st.sampled_from(("drop", "default", "update", "popitem", "clear")), _KEYS, st.integers(0, 3)),
)


def _change(there: dict[str, int], how: str, key: str, value: int) -> None:
    match how:
        case "set":
            there[key] = value
        case "drop":
            there.pop(key, None)
        case "default":
            there.setdefault(key, value)
        case "update":
            there.update({key: value})
        case "popitem" if there:
            there.popitem()
        case "clear":
            there.clear()


@given(st.lists(st.lists(_CHANGES, max_size=4), max_size=6))
def test_no_change_is_missed(rounds: list[list[tuple[str, str, int]]]) -> None:
    """A dictionary that does not say that it may have changed is what it was."""
    there: dict[str, int] = {"a": 1, "b": 2}
    versions = Versions([there, {}])
    for changes in rounds:
        list(versions.changed())
        before = dict(there)
        for change in changes:
            _change(there, *change)
        said, other = versions.changed()
        assert said or there == before
        assert other is not unchanged.HAS_VERSIONS


def test_what_is_left_alone_is_not_looked_at() -> None:
    """Where dictionaries have versions, as in Python 3.11, those that nobody changed say so after the first time."""
    assert unchanged.HAS_VERSIONS or sys.version_info[:2] != (3, 11)
    versions = Versions([vars(rules), {}])
    assert [True, True] == list(versions.changed())
    assert [not unchanged.HAS_VERSIONS] * 2 == list(versions.changed())


def test_what_is_no_dictionary_may_have_changed_every_time() -> None:
    """A view of something else has no version, and is looked at each time."""
    versions = Versions([types.MappingProxyType({}), {}])
    assert [True, True] == list(versions.changed())
    assert [True, True] == list(versions.changed())


@pytest.mark.parametrize("has_versions", [unchanged.HAS_VERSIONS, False])
def test_every_name_that_is_watched_is_found_changed(
    monkeypatch: pytest.MonkeyPatch, *, has_versions: bool
) -> None:
    """With versions and without them, each name of the replay's that was exchanged or taken away is named and put back."""
    monkeypatch.setattr(unchanged, "HAS_VERSIONS", has_versions)
    watching = Surroundings(None, ())
    assert [] == list(watching._taken_apart())
    tried = 0
    for owned in watching._code:
        if owned.owner not in _OWNERS:
            continue
        for name, value in zip(owned.names, owned.values, strict=True):
            for change in (
                lambda n=name, o=owned.owner: setattr(o, n, object()),
                lambda n=name, o=owned.owner: delattr(o, n),
            ):
                change()
                found = list(watching._taken_apart())
                assert 1 == len(found)
                assert found[0].endswith(f".{name})")
                assert value is owned.there[name]
                assert [] == list(watching._taken_apart())
                tried += 1
    assert tried > 100


def test_a_change_that_is_put_back_is_none() -> None:
    """What holds the very objects that it held is as it was, whatever its version."""
    watching = Surroundings(None, ())
    assert [] == list(watching._taken_apart())
    kept, surroundings._TIMERS = surroundings._TIMERS, ()
    surroundings._TIMERS = kept
    assert [] == list(watching._taken_apart())


def test_a_case_is_brought_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a case went, into a directory that it took away, too, the next one begins where this one did."""
    monkeypatch.chdir(tmp_path)
    watching, gone = Surroundings(None, ()), tmp_path / "gone"
    for place in (tmp_path.parent, gone):
        gone.mkdir(exist_ok=True)
        os.chdir(place)
        gone.rmdir()
        assert () == watching.settle()
        assert str(tmp_path) == os.getcwd()
