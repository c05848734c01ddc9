"""What both sides of a run were, in words: from the run's record alone, whoever wrote it, and safe on a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditlog.overrides import Overrides, PromptOverride, ToolOverride
from replay.render.text import text
from replay.results.report import Report, RunSummary
from replay.results.sides import Side, label_of, sides_of
from replay.targets.planned import Code, Packages, Place, PlannedTarget, target_from_json
from tui.render.difflist import head

COMMIT = "1234567890abcdef1234567890abcdef12345678"
WHOLE = PlannedTarget(
    path="bot:answer",
    adapter=False,
    name="bot",
    digest="d",
    version="7",
    spec="new.toml",
    manifest_digest="m",
    code=Code("shop", COMMIT, "Greet politely", "main"),
    packages=Packages("3.12.1", "uv.lock", "abcdef0123", 14, "p"),
    sources="s",
    overrides=Overrides(
        (("a", "b"),),
        (PromptOverride("greeting", "Hi", "4"),),
        (ToolOverride("look_up", "New.", "{}", "stubs:look_up"),),
    ),
    env=("OPENAI_API_KEY",),
    variables=(("REGION", "eu"),),
    place=Place("/here", ("/here",)),
)
PLAIN = PlannedTarget("bot:answer", False, "bot", "d")


def test_a_target_comes_back_from_its_record():
    """All but the place on the machine that ran it is in the record, as JSON."""
    import orjson

    recorded = orjson.loads(orjson.dumps(WHOLE.recorded()))
    assert replace(WHOLE, place=None) == target_from_json(recorded)
    assert "here" not in str(recorded)


def test_a_record_of_before_there_were_candidates_still_reads():
    """What an older version wrote is a plain target."""
    old = {"path": "bot:v1", "adapter": False, "name": "bot", "digest": "d", "version": None}
    assert PlannedTarget("bot:v1", False, "bot", "d") == target_from_json(old)
    assert (Side("candidate", ()),) == sides_of({"candidate": old, "baseline": None})


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (PLAIN, "bot:answer"),
        (WHOLE, "new.toml (12345678) bot:answer"),
        (replace(WHOLE, spec="git:main", manifest_digest=""), "git:main (12345678) bot:answer"),
        (
            replace(
                WHOLE, spec=f"git:{COMMIT}", manifest_digest="", code=replace(WHOLE.code, revision=COMMIT)
            ),
            "git:12345678 bot:answer",
        ),
        (
            replace(WHOLE, spec=".", code=replace(WHOLE.code, revision="", changed=2)),
            ". (12345678 + 2 changed) bot:answer",
        ),
        (replace(WHOLE, code=None), "new.toml bot:answer"),
    ],
)
def test_a_side_has_a_short_name(target, label):
    """In a list a side is the word that named it, the short commit, and where the agent is."""
    assert label == label_of(target.recorded())


def test_a_side_says_everything_that_made_it():
    """Commit, packages, overrides and variables are each told."""
    assert (
        "shop: main = 12345678 “Greet politely”",
        "Python 3.12.1, uv.lock abcdef01 (14 installed), agent version 7",
        "models: a → b",
        "prompts: greeting@4",
        "tool look_up: description, parameters, run by stubs:look_up",
        "environment: OPENAI_API_KEY, REGION=eu",
    ) == sides_of({"candidate": WHOLE.recorded(), "baseline": None})[0].lines


def report(subject):
    """Make a report of a run whose candidate has this subject."""
    target = replace(WHOLE, code=replace(WHOLE.code, subject=subject))
    manifest = {"candidate": target.recorded(), "baseline": PLAIN.recorded()}
    run = RunSummary(
        "r", datetime(2026, 11, 23, tzinfo=UTC), "replay", target.label, "bot:answer", "", 0, 0, "complete", {},
        sides=sides_of(manifest),
    )  # fmt: skip
    return Report(run, (), unreached=(f"The candidate never asked for {subject!r}.",))


@pytest.mark.parametrize("subject", ["Greet", "\x1b[2Jboom\x07\u202e", "x" * 500])
def test_both_screens_tell_it_and_stay_clean(subject):
    """The terminal UI and `replay show` say what both sides were; what a repository calls its commits cannot write on them."""
    found = report(subject)
    printed = text(found, width=90, colour=False)
    shown = "\n".join("".join(piece.text for piece in line.pieces) for line in head(found, 90))
    for screen in (printed, shown):
        assert "12345678" in screen
        assert "Python 3.12.1" in " ".join(screen.split()) or len(subject) > 100
        assert "never asked for" in " ".join(screen.split())
        assert not set("\x1b\x07\u202e") & set(screen)
