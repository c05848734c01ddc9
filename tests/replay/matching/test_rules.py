"""What declared rules forgive, what they never forgive, and how a wrong file is told."""

from __future__ import annotations

import copy
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.canonical import canonical, match_key
from replay.errors import RunError
from replay.matching.cassette import Cassette, Hit, Miss
from replay.matching.normalising import MatchRule, applied, instant
from replay.matching.recorded import Recorded
from replay.matching.rules import (
    NO_RULES,
    MatchRules,
    parse_rules,
    read_rules,
    rules_from_json,
    rules_to_json,
)

FILE = """
[gate]
other = "sections are somebody else's"

[match.find]
ignore = ["/request_id", "/items/*/seen_at"]   # whatever it is
trim = ["/name"]
lower = [
    "/name",
    "/email",
]
round = { "/amount" = 2 }
timezone = ["/when"]

[match."*"]
ignore = ["/trace~1id"]

[match."crm.search"]
timezone = { "/when" = "Europe/Berlin" }
"""


def recorded(name, arguments, output="found", effect="read", span_id="r"):
    key = match_key("tool", name, arguments)
    return Recorded(span_id, "tool", name, arguments, key, effect, output=output)


def test_a_file_says_rules_by_tool_and_pointer():
    """Every kind of rule is read, for one tool and for every tool; other sections are left alone."""
    rules = parse_rules(FILE)
    assert [
        "ignore /request_id",
        "ignore /items/*/seen_at",
        "trim /name",
        "lower /name",
        "lower /email",
        "round /amount 2",
        "timezone /when",
        "ignore /trace~1id",
    ] == [str(rule) for rule in rules.of("find")]
    assert ["ignore /trace~1id", "timezone /when Europe/Berlin"] == [str(r) for r in rules.of("crm.search")]
    assert ["ignore /trace~1id"] == [str(rule) for rule in rules.of("other")]


def test_rules_survive_the_way_into_a_manifest_and_a_set_up():
    """Rules come back from the store and from a worker's pipe as they were; what never had any has none."""
    rules = parse_rules(FILE)
    assert rules == rules_from_json(rules_to_json(rules))
    assert rules == rules_from_json(asdict(rules))
    assert NO_RULES == rules_from_json(None)


def test_a_file_is_read_from_the_disk(tmp_path):
    """The same rules come out of a file; one that is not there is said to be missing."""
    path = tmp_path / "rules.toml"
    path.write_text(FILE, encoding="utf-8")
    assert parse_rules(FILE) == read_rules(path)
    with pytest.raises(RunError, match="cannot be read"):
        read_rules(tmp_path / "none.toml")


WRONG = [
    ("[match.a]\nlowre = ['/x']", "m.toml:2:1: in [match.a] key 'lowre' is unknown; nearest 'lower'."),
    ("[match.a]\nlower = '/x'", 'm.toml:2:1: lower is a list of pointers, such as lower = ["/name"].'),
    ("[match.a]\ntrim = []\nlower = [\n'/x',\n'name']", "m.toml:5:1: lower has 'name', which is no JSON pointer"),
    ("[match.a]\nround = ['/x']", "m.toml:2:1: round is a table of pointers and digits"),
    ("[match.a]\nround = {'/x' = 99}", "m.toml:2:10: round takes a number of digits from 0 to 15 for '/x', and not 99"),
    ("[match.a]\nround = {'/x' = true}", "round takes a number of digits"),
    ("[match.a.round]\n'/x' = 'two'", "m.toml:2:1: round takes a number of digits"),
    ("[match.a]\ntimezone = {'/x' = 'Europe/Berln'}", "m.toml:2:13: time zone 'Europe/Berln' is unknown; nearest"),
    ("[match]\nlower = ['/x']", "m.toml:2:1: 'lower' stands in [match] itself; rules belong to a tool"),
    ("match = 1", "m.toml:1:1: [match] is a section of tools"),
    ("[macth.a]\nlower = []", "has no section [match]. Write"),
    ("[macth.a]\nlower = []", "It has [macth]: did you mean [match]?"),
    ("[match.a]\nignore = ['']", "ignore has '', which is no JSON pointer"),
    ("[match.a\n", "m.toml is no TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_file_is_told_with_its_line_and_the_nearest_word(text, said):
    """What no rule can be is refused, and the message says where, and what was nearest."""
    with pytest.raises(RunError) as caught:
        parse_rules(text, "m.toml")
    assert said in str(caught.value)


def test_each_normaliser_forgives_its_own_difference():
    """Case, space, digits, the writing of an instant and what is ignored; each only where it is declared."""
    rules = parse_rules(FILE)
    one = {
        "request_id": 1, "name": " Ada ", "email": "A@B.c", "amount": 10.001, "when": "2026-05-01T12:00:00+02:00",
        "items": [{"sku": "x", "seen_at": 1}, {"sku": "y"}],
    }  # fmt: skip
    other = {
        "name": "ada", "email": "a@b.C", "amount": 10, "when": "2026-05-01T10:00:00Z",
        "items": [{"sku": "x"}, {"sku": "y", "seen_at": 7}],
    }  # fmt: skip
    before = copy.deepcopy(one)
    assert rules.key("tool", "find", one) == rules.key("tool", "find", other)
    assert rules.key("tool", "find", one) != rules.key("tool", "find", {**other, "amount": 11})
    assert rules.key("tool", "find", one) != rules.key("tool", "find", {**other, "items": other["items"][:1]})
    assert rules.key("model", "find", one) is None
    assert before == one


def test_an_instant_needs_an_offset_or_a_declared_zone():
    """A moment without an offset is left alone, unless the rule says where it is from; other texts are no moments."""
    assert "2026-05-01T10:00:00+00:00" == instant("2026-05-01 12:00", "Europe/Berlin")
    assert [None, None, None, None] == [
        instant("2026-05-01T12:00"),
        instant("2026-05-01", "Europe/Berlin"),
        instant("soon", "Europe/Berlin"),
        instant("0001-01-01T00:00:00+23:00"),
    ]


def test_a_rule_leaves_alone_what_it_does_not_fit():
    """A pointer that leads nowhere, and a value of another type, are not changed."""
    value = {"a": [1, {"b": True}], "n": "10", "big": 10**400, "*": "X"}
    rules = [
        MatchRule("t", "lower", "/a/0"),
        MatchRule("t", "lower", "/a/9/b"),
        MatchRule("t", "lower", "/a/b"),
        MatchRule("t", "round", "/a/1/b", 1),
        MatchRule("t", "round", "/n", 1),
        MatchRule("t", "round", "/big", 1),
        MatchRule("t", "ignore", "/none/deep"),
    ]
    assert value == applied(rules, value)
    assert {"*": "x"} == applied([MatchRule("t", "lower", "/*")], {"*": "X"})
    assert [None, 2] == applied([MatchRule("t", "ignore", "/0")], [1, 2])


def test_exact_comes_before_normalised_and_the_rule_is_named():
    """The very call wins over one that a rule makes equal; a normalised answer names the rules that it took."""
    rules = parse_rules('[match.find]\nlower = ["/name", "/town"]\ntrim = ["/name"]')
    cassette = Cassette(
        [
            recorded("find", {"name": "ADA"}, "loud", span_id="1"),
            recorded("find", {"name": "ada"}, "soft", span_id="2"),
        ],
        rules,
    )
    exact = cassette.take("tool", "find", {"name": "ada"}, effect="read")
    near = cassette.take("tool", "find", {"name": "Ada"}, effect="read")
    assert isinstance(exact, Hit)
    assert isinstance(near, Hit)
    assert ("soft", "exact", ()) == (exact.recorded.output, exact.tier, exact.rules)
    assert ("loud", "normalised", ["lower /name"]) == (
        near.recorded.output,
        near.tier,
        [str(r) for r in near.rules],
    )


def test_a_normalised_write_is_served_once():
    """A rule makes two refunds one call; it does not make one recording pay twice."""
    rules = parse_rules('[match.refund]\nignore = ["/key"]')
    cassette = Cassette([recorded("refund", {"id": 1, "key": "a"}, effect="write")], rules)
    first, second = (cassette.take("tool", "refund", {"id": 1, "key": k}, effect="write") for k in "bc")
    assert isinstance(first, Hit)
    assert isinstance(second, Miss)
    assert ("normalised", "used up") == (first.tier, second.rule)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 0.501, 1.0]),
    st.sampled_from(["a", "A", " a", "b", "2026-01-01T00:00Z", "2026-01-01T01:00+01:00"]),
)  # fmt: skip
NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
POINTERS = st.lists(st.sampled_from(["a", "b", "c", "*", "0", "1"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
RULES = st.lists(
    st.one_of(
        st.builds(
            MatchRule, st.just("find"), st.sampled_from(["ignore", "trim", "lower", "timezone"]), POINTERS
        ),
        st.builds(MatchRule, st.just("find"), st.just("round"), POINTERS, st.integers(0, 2)),
    ),
    max_size=3,
).map(lambda rules: MatchRules(tuple(rules)))


@given(ARGUMENTS, ARGUMENTS)
def test_without_rules_equal_is_canonically_equal(one, other):
    """A call is served exactly where the canonical forms of its arguments are the same."""
    found = Cassette([recorded("find", one)]).take("tool", "find", other, effect="read")
    assert (canonical(one) == canonical(other)) == isinstance(found, Hit)


@given(ARGUMENTS, ARGUMENTS, RULES)
def test_what_is_served_is_equal_under_the_rules_that_are_named(one, other, rules):
    """An answer is of an equal call, or of one that the named rules, and they alone, make equal; and every rule is needed."""
    found = Cassette([recorded("find", one)], rules).take("tool", "find", other, effect="read")
    if isinstance(found, Miss):
        assert canonical(applied(rules.of("find"), one)) != canonical(applied(rules.of("find"), other))
        return
    assert canonical(applied(found.rules, one)) == canonical(applied(found.rules, other))
    assert (found.tier == "exact") == (canonical(one) == canonical(other))
    for rule in found.rules:
        others = [r for r in found.rules if r is not rule]
        assert canonical(applied(others, one)) != canonical(applied(others, other))


@given(ARGUMENTS, NAMES, SCALARS, SCALARS, st.sampled_from(["trim", "lower", "timezone", "ignore"]))
def test_a_rule_never_serves_what_differs_elsewhere(arguments, place, one, other, how):
    """Whatever a rule does at its pointer: a difference anywhere else is a difference."""
    rules = MatchRules((MatchRule("find", how, "/elsewhere"),))
    held = {**arguments, place: one, "elsewhere": "x"}
    asked = {**arguments, place: other, "elsewhere": "X "}
    found = Cassette([recorded("find", held)], rules).take("tool", "find", asked, effect="read")
    if canonical(one) != canonical(other):
        assert isinstance(found, Miss)


@given(ARGUMENTS, RULES)
def test_applying_rules_twice_changes_nothing_more(arguments, rules):
    """What is compared is a normal form."""
    once = applied(rules.of("find"), arguments)
    assert canonical(once) == canonical(applied(rules.of("find"), once))
