"""Policies: what they may say, where they are wrong, and what a level asks for."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from auditlog import resources
from replay.errors import PolicyError
from replay.gate.first_policy import FIRST_POLICY
from replay.gate.levels import levels
from replay.gate.metrics import known_metrics
from replay.gate.policy import load_policy, read_policy
from replay.scorers.builtin import BUILT_IN

TODAY = date(2026, 11, 23)
KNOWN = known_metrics(list(BUILT_IN))
WAIVER = '[[waiver]]\ncheck = "{}"\nowner = "Jo"\nreason = "pilot"\nexpires = {}\n'
LATER = date(2026, 12, 24)


def read(text: str):
    return read_policy(text, KNOWN, today=TODAY, path="gate.toml")


def test_unknown_metric_names_line_column_and_nearest():
    """A metric that nobody knows is named with its line, its column and the nearest one."""
    text = 'version = 1\nlevel = 2\n[metrics]\n# "escalation" in a comment\nprimary = [\n  "outcome",\n  "escalatoin",\n]\n'

    with pytest.raises(PolicyError) as told:
        read(text)

    assert "gate.toml:7:3: metric 'escalatoin' is unknown; nearest 'escalation'" == str(told.value)


def test_unknown_key_names_line_column_and_nearest():
    """A key that nobody knows is named with its line, its column and the nearest one."""
    with pytest.raises(PolicyError) as told:
        read("version = 1\nlevel = 2\n\n  marign = 0.01\n")

    assert "gate.toml:4:3: key 'marign' is unknown; nearest 'margin'" == str(told.value)


def test_every_fault_is_told_at_once():
    """Several faults come in one message, a line each."""
    with pytest.raises(PolicyError) as told:
        read('version = 1\nlevel = 7\nowner = ""\nalpha = "much"\n[[evidence]]\nname = "x"\n')

    assert [
        "gate.toml:2:1: level is one of 1, 2, 3, 4, and not 7",
        "gate.toml:3:1: owner is empty",
        "gate.toml:4:1: alpha is a number, and not 'much'",
        "gate.toml:5:3: evidence[0].query is missing",
    ] == str(told.value).splitlines()


def test_newer_version_is_refused():
    """A policy of a newer version is refused, and not guessed at."""
    with pytest.raises(
        PolicyError, match="gate.toml:1:1: this policy is of version 2, and this program reads 1"
    ):
        read("version = 2\nlevel = 2\nwhatever = 1\n")


def test_what_is_no_toml_says_where():
    """A syntax error says its line and column."""
    with pytest.raises(PolicyError, match=r"at line 2, column"):
        read("version = 1\nlevel = = 2\n")


@pytest.mark.parametrize("margin", [0, 1])
def test_a_margin_is_above_nothing_and_below_everything(margin):
    """A margin of 0 or 1 has no interval that could show it, and is refused."""
    with pytest.raises(PolicyError, match="gate.toml:3:1: .*at least 1e-06 and below 1"):
        read(f"version = 1\nlevel = 3\nmargin = {margin}\n")


@pytest.mark.parametrize(
    "line", ["alpha = 1e-17", "q = 1e-17", "hard_bound = 1e-20", "margin = 1e-300", "margins.outcome = 1e-9"]
)
def test_a_figure_that_no_number_of_cases_could_show_is_refused(line):
    """Below one in a million, there is nothing to be computed with."""
    with pytest.raises(PolicyError, match="gate.toml:3:1: .*at least 1e-06"):
        read(f"version = 1\nlevel = 3\n{line}\n")


def test_looser_than_the_level_needs_a_waiver():
    """A margin above the level's is refused, and stands with a waiver that has not expired."""
    looser = "version = 1\nlevel = 3\nmargin = 0.05\n"
    waiver = '[[waiver]]\ncheck = "margin"\nowner = "Jo"\nreason = "pilot"\nexpires = {}\n'

    with pytest.raises(PolicyError, match="gate.toml:3:1: margin 0.05 is looser than level 3"):
        read(looser)
    with pytest.raises(PolicyError, match="looser"):
        read(looser + waiver.format("2026-11-22"))

    assert 0.05 == read(looser + waiver.format("2026-11-23")).margin


@pytest.mark.parametrize(
    "lines",
    ["hard_bound = 0.05", "grounded = 0.9", "completeness = 0.9", "alpha = 0.1", "[margins]\noutcome = 0.04",
     '[adversarial]\nlists = ["llm"]', "[metrics]\nprimary = []", "[adversarial]\ncoverage = 0.5"],
)  # fmt: skip
def test_each_way_to_be_looser_is_refused(lines):
    """Nothing that a level asks for can be taken back in silence."""
    with pytest.raises(PolicyError, match="looser than level 3"):
        read(f"version = 1\nlevel = 3\n{lines}\n")


@pytest.mark.parametrize("name", ["most_diverged", "most_unfaithful", "most_unscored"])
def test_the_bars_of_a_run_are_the_levels(name):
    """How much of a run may be unknown is no knob of the policy's."""
    with pytest.raises(PolicyError, match=f"gate.toml:3:1: {name} 0.9 is looser than level 4"):
        read(f"version = 1\nlevel = 4\n{name} = 0.9\n")


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ('hard = ["my:always_true"]', "new_write, changed_money, no_new_pii, no_forbidden_promise"),
        ('hard = ["new_write", "changed_money", "no_new_pii"]', "no_forbidden_promise"),
        ('primary = ["divergence"]', "outcome, write_set, escalation, answers"),
    ],
)
def test_a_levels_own_metrics_stay(lines, missing):
    """Another list of metrics does not take the place of those that the level asks for."""
    with pytest.raises(PolicyError, match=f"a policy without {missing} among its"):
        read(f"version = 1\nlevel = 3\n[metrics]\n{lines}\n")


def test_a_level_is_judged_by_its_own_metrics_where_the_policy_names_none():
    """Personal data and forbidden promises are hard from level 3 on."""
    found = read("version = 1\nlevel = 3\n")

    assert ("new_write", "changed_money", "no_new_pii", "no_forbidden_promise") == found.hard
    assert ("outcome", "answers", "write_set", "escalation") == found.primary
    assert ("new_write", "changed_money") == read("version = 1\nlevel = 1\n").hard


def test_a_levels_own_metric_is_not_blunted_by_options():
    """A hard scorer of the level's that looks for nothing is another scorer."""
    with pytest.raises(PolicyError, match="gate.toml:5:1: 'no_new_pii' with options of its own is looser"):
        read('version = 1\nlevel = 3\n[[scorer]]\nuse = "no_new_pii"\noptions = { kinds = ["iban"] }\n')


@pytest.mark.parametrize(
    ("use", "options"), [("disclosure", 'listed = ["."]'), ("grounded", "strict = false")]
)
def test_what_a_levels_own_demand_is_judged_by_is_not_blunted_by_options(use, options):
    """A disclosure that any answer holds discloses nothing; where the level does not ask for it, it is the policy's matter."""
    lines = f'[[scorer]]\nuse = "{use}"\noptions = {{ {options} }}\n'
    with pytest.raises(
        PolicyError, match=f"gate.toml:5:1: '{use}' with options of its own is looser than level 3"
    ):
        read(f"version = 1\nlevel = 3\n{lines}")
    assert 2 == read(f"version = 1\nlevel = 2\nowner = 'Jo'\n{lines}").level.number


def test_an_unknown_scorer_names_each_known_one_once():
    """A list of what there is, is no list of it twice."""
    with pytest.raises(PolicyError) as raised:
        read(
            'version = 1\nlevel = 2\n[[scorer]]\nuse = "zzz"\n',
        )

    assert 1 == str(raised.value).count("no_forbidden_promise")


def test_a_waiver_of_one_run_loosens_no_policy():
    """What is signed for one run is no word on the next."""
    with pytest.raises(PolicyError, match="margin 0.9 of 'outcome' is looser"):
        read(
            "version = 1\nlevel = 3\n[margins]\noutcome = 0.9\n"
            + WAIVER.format("margin", LATER)
            + 'run = "some-other-run"\n'
        )


@pytest.mark.parametrize("check", ["hard.new_write", "primary.outcome", "unscored.outcome", "escalation"])
def test_what_a_run_showed_is_waived_for_that_run_alone(check):
    """A flaky violation of the next run is signed anew."""
    policy = "version = 1\nlevel = 3\n" + WAIVER.format(check, LATER)
    with pytest.raises(PolicyError, match="waived for that run alone"):
        read(policy)

    (waiver,) = read(policy + 'run = "r1"\n').waivers

    assert waiver.covers(check, "r1", TODAY)
    assert not waiver.covers(check, "r2", TODAY)


@pytest.mark.parametrize(
    "check", ["hard", "primary", "run", "owner", "run.complete", "hard.new_wriet", "gate"]
)
def test_no_group_and_nothing_that_cannot_be_is_waived(check):
    """One word waives one check; the run itself and its owner cannot be waived."""
    with pytest.raises(PolicyError, match=f"check '{check}' is unknown"):
        read("version = 1\nlevel = 3\n" + WAIVER.format(check, LATER) + 'run = "r1"\n')


def test_a_waiver_does_not_last_for_ever():
    """A person signs again after 90 days."""
    with pytest.raises(PolicyError, match="gate.toml:7:1: a waiver ends within 90 days"):
        read("version = 1\nlevel = 3\n" + WAIVER.format("adversarial", "9999-01-01"))


def test_a_figure_that_is_loosened_is_no_check_that_is_waived():
    """A waiver of the bound lets the policy ask for a higher one, and passes no run that does not keep it."""
    (waiver,) = read(
        "version = 1\nlevel = 3\nhard_bound = 0.05\n" + WAIVER.format("hard_bound", LATER)
    ).waivers

    assert not waiver.covers("hard_bound", "r1", TODAY)


def test_evidence_of_a_longer_name_is_another():
    """Only attacks are waived together."""
    evidence = "".join(f'[[evidence]]\nname = "{name}"\nquery = "SELECT 1"\n' for name in ("a", "a.b"))
    (waiver,) = read("version = 1\nlevel = 2\n" + evidence + WAIVER.format("evidence.a", LATER)).waivers
    (attacks,) = read("version = 1\nlevel = 2\n" + WAIVER.format("adversarial", LATER)).waivers

    assert waiver.covers("evidence.a", "r1", TODAY)
    assert not waiver.covers("evidence.a.b", "r1", TODAY)
    assert attacks.covers("adversarial.llm", "r1", TODAY)


def test_options_of_a_scorer_of_ours_are_looked_at():
    """A misspelt option is told with its place, and not when the run was scored."""
    text = 'version = 1\nlevel = 1\n[[scorer]]\nname = "x"\nuse = "no_forbidden_promise"\noptions = { kinds = ["refund"] }\n'
    with pytest.raises(PolicyError, match="gate.toml:6:1: option of no_forbidden_promise 'kinds' is unknown"):
        read(text)


@pytest.mark.parametrize("scorer", ["", '[[scorer]]\nname = "rate"\nuse = "escalation_rate"\n'])
def test_a_scorer_of_a_set_is_no_metric_of_the_gate(scorer):
    """What judges a whole arm could never be violated by a case."""
    name = "rate" if scorer else "escalation_rate"
    with pytest.raises(PolicyError, match=f"'{name}' judges a whole arm"):
        read(f'version = 1\nlevel = 1\n[metrics]\nhard = ["{name}"]\n{scorer}')


def test_a_slice_stands_once():
    """A slice that is named twice would be tested twice."""
    with pytest.raises(PolicyError, match="slice 'a=b' is there twice"):
        read('version = 1\nlevel = 1\n[slices]\nnamed = ["a=b", "a=b"]\n')


def test_stricter_than_the_level_stands():
    """A policy may ask for more than its level."""
    found = read(
        "version = 1\nlevel = 2\nmargin = 0.01\nhard_bound = 0.001\n[adversarial]\nlists = ['llm', 'mcp']\n"
    )

    assert (0.01, 0.001, ("llm", "mcp")) == (found.margin, found.hard_bound, found.adversarial)


def test_roles_of_metrics():
    """A hard metric is no primary one, and one name has one role."""
    with pytest.raises(PolicyError) as told:
        read(
            'version = 1\nlevel = 1\n[metrics]\nhard = ["outcome"]\nprimary = ["grounded"]\nsecondary = ["grounded"]\n'
        )

    assert [
        "gate.toml:4:9: metric 'outcome' cannot be hard; it is primary or secondary",
        "gate.toml:6:14: metric 'grounded' is primary already",
    ] == str(told.value).splitlines()


def test_scorer_under_a_name_of_its_own():
    """A [[scorer]] gives a metric its name and its options."""
    text = (
        'version = 1\nlevel = 1\n[metrics]\nprimary = ["calm"]\n'
        '[[scorer]]\nname = "calm"\nuse = "shop.scorers:tone"\noptions = { most = 2 }\n'
    )

    assert [("shop.scorers:tone", "calm", {"most": 2})] == [
        (s.use, s.name, s.options) for s in read(text).scorers
    ]


_EXAMPLE = re.compile(r"# (\[+\w+\]+|\w+ = .*)")


def examples():
    """Give what the first policy shows behind a `#`: single keys, and tables with their keys."""
    found: list[list[str]] = []
    joins = False
    for number, line in enumerate(FIRST_POLICY.splitlines()):
        shown = _EXAMPLE.fullmatch(line)
        if shown is None:
            joins = False
        elif joins:
            found[-1].append(str(number))
        else:
            found.append([str(number)])
            joins = shown[1].startswith("[")
    return ["+".join(numbers) for numbers in found]


def uncommented(numbers):
    """Give the first policy with these lines taken out of their comments."""
    lines = FIRST_POLICY.splitlines()
    return "\n".join(line[2:] if str(at) in numbers else line for at, line in enumerate(lines))


@pytest.mark.parametrize("example", examples())
def test_each_example_of_the_first_policy_is_one(example):
    """Whatever `--init` shows behind a `#` can be used as it is."""
    assert 2 == read(uncommented(example.split("+"))).level.number


def test_first_policy_is_in_order():
    """What `--init` writes is a policy, and so is all that its comments show."""
    assert 2 == read(FIRST_POLICY).level.number
    every = read(uncommented([number for example in examples() for number in example.split("+")]))
    assert 12 <= len(examples())
    assert {"rollback", "drill"} == set(every.rehearsals)
    assert (("en", "de"), 2) == (every.languages, len(every.waivers))
    assert [("no_forbidden_promise", "no_discount")] == [(use.use, use.name) for use in every.scorers]


def test_example_policy_is_in_order():
    """The sample agent's policy is one."""
    path = Path(__file__).resolve().parents[3] / "examples" / "support_bot" / "gate.toml"
    from replay.scorers.builtin import BUILT_IN

    assert 3 == load_policy(path, known_metrics(list(BUILT_IN)), today=TODAY).level.number


def test_missing_file_says_what_to_do(tmp_path):
    """A policy that is not there is named, with how to make one."""
    with pytest.raises(
        PolicyError, match="cannot be read: No such file or directory. `auditlog gate --init`"
    ):
        load_policy(tmp_path / "none.toml", KNOWN, today=TODAY)


def test_levels_get_stricter():
    """Each level asks for at least as much as the one below it."""
    table = [levels()[n] for n in (1, 2, 3, 4)]

    assert [None, 0.05, 0.03, 0.02] == [level.margin for level in table]
    assert [None, 0.05, 0.01, 0.001] == [level.hard_bound for level in table]
    assert [0.95, 0.99, 0.999, 0.9999] == [level.completeness for level in table]
    assert [None, 90, 30, 7] == [level.rollback_days for level in table]
    assert [(), ("llm",), ("llm", "agentic"), ("llm", "agentic", "mcp")] == [
        level.adversarial for level in table
    ]


def test_policy_schema_is_a_json_schema():
    """`policy.schema.json` is a JSON Schema for whichever editor reads it, and takes the example."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = resources.schema("policy.schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    found = tomllib.loads(FIRST_POLICY)

    assert [] == list(jsonschema.Draft202012Validator(schema).iter_errors(found))
