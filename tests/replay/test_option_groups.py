"""Options in groups: all that stands on a command reaches its plan, below a heading of its own."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

import replay
from auditlog.cli.main import main
from replay.cli import run_options, serving_options
from replay.cli.option_groups import REST, SECTIONS, Given, options_of
from replay.cli.run_options import Most, SecondBaseline, Target
from replay.cli.serving_options import Bounds, Engine, Place, Served

GROUPS = [
    found
    for module in (run_options, serving_options)
    for found in vars(module).values()
    if inspect.isclass(found) and found.__module__ == module.__name__
]
COMMANDS = [
    ("replay", "run"), ("replay", "verify"), ("replay", "control"), ("replay", "fork"), ("regress", "run"), ("attack", "run"),
]  # fmt: skip


def given(*words: str, kinds: tuple[type, ...] = tuple(GROUPS)) -> Given:
    """Read a command line that takes the groups."""
    found = []

    @click.command()
    @options_of(*kinds)
    def command(given: Given) -> None:
        found.append(given)

    done = CliRunner().invoke(command, words, standalone_mode=False)
    assert done.exception is None, done.exception
    return found[0]


@pytest.mark.parametrize("kind", GROUPS, ids=lambda kind: kind.__name__)
def test_a_group_holds_each_of_its_options(kind):
    """A group's fields are its options' names, in either direction, and its heading is a known one."""
    command = click.command()(options_of(kind)(lambda given: given))

    assert {option.name for option in command.params} == {field.name for field in fields(kind)}
    assert kind.section in SECTIONS


def test_all_that_groups_plan_is_an_argument_of_a_plan():
    """What the groups give, with every option said, is what `replay.plan` takes."""
    words = [
        "--agent",
        "a:b",
        "--seed",
        "7",
        "--sample-size",
        "3",
        "--max-usd",
        "1",
        "--engine",
        "ray",
        "--rate",
        "60rpm",
    ]
    planning = given(*words).planning()

    assert set() == planning.keys() - inspect.signature(replay.plan).parameters.keys()
    assert {"limits", "sampling", "pinning", "engine", "modes", "workers", "candidate"} <= planning.keys()


def test_what_was_not_said_is_left_to_the_plan():
    """Limits, sample, engine and what is held still are there only where one was said."""
    planning = given("--agent", "a:b").planning()

    assert set() == planning.keys() & {"limits", "sampling", "pinning", "engine", "ray_address", "matching"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--agent", "a:b"), ("a:b", False, "")),
        (("--candidate", ".", "--agent", "a:b"), (".", False, "a:b")),
        (("--candidate", "git:x", "--adapter", "a:f"), ("git:x", True, "a:f")),
        (("--adapter", "a:f"), ("a:f", True, "")),
    ],
)
def test_a_candidate_says_which_code_and_an_agent_where(words, expected):
    """An agent alone is what runs; beside a candidate it is where the agent is in it."""
    planning = given(*words, kinds=(Target,)).planning()

    assert expected == (planning["candidate"], planning["adapter"], planning["agent"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("--engine", "ray"), {"engine": "ray", "ray_address": ""}),
        (("--engine", "ray", "--ray-address", "head:1"), {"engine": "ray", "ray_address": "head:1"}),
    ],
)
def test_ray_takes_an_address_or_none(words, expected):
    """`--engine ray` alone is a cluster of this machine's own."""
    assert expected == given(*words, kinds=(Engine,)).planning()


def test_an_address_without_ray_is_refused():
    """An address of a cluster is not forgotten in silence where the workers run here."""
    with pytest.raises(click.UsageError, match="--ray-address is of --engine ray"):
        given("--ray-address", "head:1", kinds=(Engine,)).planning()


def test_groups_are_read_one_by_one():
    """A command reads one group's value where it needs it."""
    found = given(
        "--isolate-cases", "--env", "K", "--limit", "0", "--second-baseline", "1", "--memory", "5",
        kinds=(Served, Place, Most, SecondBaseline, Bounds),
    )  # fmt: skip

    assert (True, ("K",)) == (found[Served].isolate_cases, found[Place].env)
    assert (None, 1.0) == (found.planning()["limit"], found.planning()["sample"])
    assert 5_000_000 == found.planning()["limits"].memory_bytes


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_headings_in_one_order(words):
    """Each command that replays lists its options below the same headings, what runs first."""
    said = CliRunner().invoke(main, [*words, "--help"]).stdout
    headings = re.findall(r"^(\S.*):$", said.partition("\n\n")[2], re.MULTILINE)

    assert [title for title in (*SECTIONS, REST) if title in headings] == headings
    assert ["What runs", REST] == [headings[0], headings[-1]]
    assert re.search(r"^What runs:\n  --agent ", said, re.MULTILINE)
