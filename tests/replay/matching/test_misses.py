"""How a miss explains itself: the nearest call, the patch, and the rule that came closest."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.canonical import canonical, match_key
from replay.diff.json_diff import pointer_segments
from replay.matching.cassette import Cassette, Miss
from replay.matching.recorded import Recorded
from replay.matching.rules import NO_RULES, parse_rules


def missed(recorded, asked, rules=NO_RULES, name="look"):
    """Ask for a call that the recorded ones of `look` do not answer."""
    calls = [
        Recorded(f"r{n}", "tool", "look", arguments, match_key("tool", "look", arguments), "read")
        for n, arguments in enumerate(recorded)
    ]
    found = Cassette(calls, rules).take("tool", name, asked, effect="read")
    assert isinstance(found, Miss)
    return found


HINTS = [
    ({"name": "Ada"}, {"name": "ADA"}, "it differs only in case at /name: a normaliser would serve it (lower)"),
    ({"name": "Ada"}, {"name": " Ada"}, "it differs only in the space around it at /name: a normaliser would serve it (trim)"),
    ({"name": "Ada"}, {"name": "ada "},
     "in the space around it at /name and in case at /name: normalisers would serve it (trim, lower)"),
    ({"a": "x", "b": "y"}, {"a": "X", "b": "Y"}, "it differs only in case at /a, /b: a normaliser would serve it (lower)"),
    ({"when": "2026-05-01T12:00+02:00"}, {"when": "2026-05-01T10:00Z"},
     "in the time zone it is written in at /when: a normaliser would serve it (timezone)"),
    ({"amount": 9.999}, {"amount": 9.998}, "it differs only in digits at /amount: a normaliser would serve it (round 2)"),
    ({"amount": 40}, {"amount": 400}, ""),
    ({"amount": True}, {"amount": 1}, ""),
    ({"name": "Ada", "n": 1}, {"name": "ADA", "n": 2}, ""),
    ({"name": "Ada"}, {"name": "ada", "more": 1}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("recorded", "asked", "hint"), HINTS)
def test_the_normaliser_that_would_serve_is_named(recorded, asked, hint):
    """A difference that a built-in normaliser forgives is named with its pointer; any other gets no such hint."""
    miss = missed([recorded], asked)
    assert ("arguments differ", bool(hint)) == (miss.rule, bool(miss.hint))
    assert miss.hint.endswith(hint)
    assert miss.explain("tool", "look").endswith(miss.hint)


def test_what_the_declared_rules_forgive_is_no_reason():
    """With a rule for the name, the amount is what differs; the rule is said to have been applied."""
    rules = parse_rules('[match.look]\nlower = ["/name"]\ntrim = ["/other"]')
    miss = missed([{"name": "Ada", "amount": 1}], {"name": "ADA", "amount": 2}, rules)
    assert "the nearest recorded call of tool look differs after lower /name: /amount 1 → 2" == miss.explain(
        "tool", "look"
    )
    assert ["/amount", "/name"] == [change.path for change in miss.changes]


def test_among_equally_many_changes_the_most_alike_is_nearest():
    """Of calls that differ in one argument, the one that reads most like it is named."""
    miss = missed(
        [{"q": "weather in Rome"}, {"q": "refund of order A-1001"}], {"q": "refund of order A-1002"}
    )
    assert "r1" == miss.nearest.span_id


def test_a_tool_that_was_not_recorded_is_told_with_those_that_were():
    """A renamed tool is seen at once: the names that the recording holds stand in the explanation."""
    miss = missed([{"q": 1}], {"q": 1}, name="lookup")
    assert "the recording holds no call of tool lookup; it holds look" == miss.explain("tool", "lookup")
    assert {
        "auditlog.replay.miss_rule": "not recorded",
        "auditlog.replay.miss_hint": "it holds look",
    } == miss.facts()


def test_a_span_keeps_what_explains_its_miss():
    """The rule, the hint, the nearest span and the patch are stored; of a huge difference the first twenty, and how many."""
    facts = missed([{"name": "Ada"}], {"name": "ADA"}).facts()
    assert {
        "auditlog.replay.miss_rule": "arguments differ",
        "auditlog.replay.miss_hint": "it differs only in case at /name: a normaliser would serve it (lower)",
        "auditlog.replay.nearest_span_id": "r0",
        "auditlog.replay.difference": [{"op": "replace", "path": "/name", "value": "ADA"}],
    } == facts
    huge = missed([{}], {f"k{n}": n for n in range(50)}).facts()
    assert (20, 50) == (len(huge["auditlog.replay.difference"]), huge["auditlog.replay.difference_size"])


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["a", "A", "~", "/"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b/", "~c"]), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.sampled_from(["x", "y"]), VALUES, max_size=2)


def patched(value, patch):
    """Apply an RFC 6902 patch."""
    root = {"": copy.deepcopy(value)}
    for operation in patch:
        *way, last = ["", *pointer_segments(operation["path"])]
        at = root
        for segment in way:
            at = at[int(segment)] if isinstance(at, list) else at[segment]
        key = int(last) if isinstance(at, list) else last
        match operation["op"]:
            case "remove":
                del at[key]
            case "add" if isinstance(at, list):
                at.insert(key, operation["value"])
            case _:
                at[key] = operation["value"]
    return root[""]


@given(st.lists(ARGUMENTS, min_size=1, max_size=3), ARGUMENTS)
def test_the_stored_patch_leads_from_the_nearest_call_to_what_was_asked(recorded, asked):
    """The patch is one that any RFC 6902 tool can apply."""
    if any(canonical(arguments) == canonical(asked) for arguments in recorded):
        return
    miss = missed(recorded, asked)
    facts = miss.facts()
    if "auditlog.replay.difference_size" not in facts:
        assert canonical(asked) == canonical(
            patched(miss.nearest.arguments, facts["auditlog.replay.difference"])
        )
