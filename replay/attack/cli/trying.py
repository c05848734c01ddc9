"""`auditlog attack run`: one bounded search for attacks that work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from auditlog.cli.exits import Exit
from auditlog.cli.options import (
    filter_options,
    open_store,
    record_access,
    selection,
    store_option,
    store_words,
)

if TYPE_CHECKING:
    from replay.attack.model import Attacker


@click.command(short_help="Search for attacks that work on a candidate.")
@click.option(
    "--candidate", required=True, metavar="SPEC", help="The version to attack, as `replay run` names it."
)
@click.option(
    "--baseline",
    metavar="SPEC",
    help="The version in production: what both do is no news about the candidate.",
)
@click.option("--agent", default="", metavar="MODULE:ATTR", help="The agent in a git:REV or in `.`.")
@click.option(
    "--list",
    "lists",
    multiple=True,
    type=click.Choice(("llm", "agentic", "mcp")),
    help="A list of risks; may be repeated. All where none is given.",
)
@click.option(
    "--surface",
    "surfaces",
    multiple=True,
    type=click.Choice(("user", "document", "tool", "memory")),
    help="A way by which words come in; may be repeated. All where none is given.",
)
@click.option(
    "--language", "languages", multiple=True, default=("en",), show_default=True, help="May be repeated."
)
@click.option(
    "--attacks",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    metavar="N",
    help="At most N attacks.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another one makes other attacks.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Lay attacks into at most N turns."
)
@click.option(
    "--attacker-url", metavar="URL", help="A model that attacks, too: an OpenAI-compatible address."
)
@click.option("--attacker-model", metavar="NAME", help="That model's name.")
@click.option(
    "--about", default="", metavar="TEXT", help="What the agent is for, for an attacker that is a model."
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="HOST", help="A model's host, as `replay run` has it."
)
@click.option(
    "--env", multiple=True, metavar="NAME", help="A variable that the agent gets, as `replay run` has it."
)
@click.option(
    "--path",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Where the agent is imported from.",
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), metavar="N", help="Worker processes for each version."
)
@filter_options
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to write what was found.",
)
@store_option
def run(
    candidate: str,
    baseline: str | None,
    agent: str,
    lists: Sequence[str],
    surfaces: Sequence[str],
    languages: Sequence[str],
    attacks: int,
    seed: int,
    limit: int | None,
    attacker_url: str | None,
    attacker_model: str | None,
    about: str,
    hosts: Sequence[str],
    env: Sequence[str],
    path: str | None,
    concurrency: int | None,
    where: str | None,
    since: str | None,
    until: str | None,
    format: str,
    store: str,
) -> None:
    """Search for attacks that work on a candidate, and keep what is found.

    Exits with 1 where one worked.
    """
    import replay as engine
    from auditlog.cli.output import Progress, narrate
    from replay.attack.campaign import Bounds
    from replay.attack.cli.writing import write_campaign
    from replay.attack.keeping import load_campaign
    from replay.attack.running import run_campaign
    from replay.risks.taxonomy import SURFACES, cells_of, taxonomies
    from replay.sandbox.modes import Modes

    chosen = selection(where, None, since, until)
    wanted = [found for found in taxonomies() if not lists or found.name in lists]
    ways = [surface for surface in SURFACES if not surfaces or surface in surfaces]
    with open_store(store) as opened:
        planned = engine.plan(
            opened,
            candidate,
            baseline=baseline,
            agent=agent,
            modes=Modes(on_miss="simulate"),
            where=chosen.where,
            since=chosen.since,
            until=chosen.until,
            limit=limit,
            sample=0.0,
            hosts=hosts,
            env=env,
            path=path,
            workers=concurrency,
            fresh=True,
        )
        for note in planned.notes:
            narrate(note)
        record_access(
            opened, "attack run", filter=planned.where or None, ids=[planned.run_id], rows=len(planned.cases)
        )
        narrate(f"Campaign {planned.run_id}: at most {attacks} attacks on {candidate}, {planned.mode}")
        with Progress("Attacking") as shown:
            run_campaign(
                opened,
                planned,
                cells_of(wanted, ways, languages),
                lists=[found.name for found in wanted],
                attackers=_attackers(attacker_url, attacker_model),
                bounds=Bounds(attacks=attacks),
                seed=seed,
                about=about,
                progress=lambda at: shown.update(at.attacks),
            )
        found = load_campaign(opened, planned.run_id)
        write_campaign(found, as_json=format == "json")
        if found.findings:
            narrate(f"`auditlog attack show {found.run_id}{store_words(store)}` shows them again.")
            raise click.exceptions.Exit(Exit.NO)


def _attackers(url: str | None, model: str | None) -> list[Attacker]:
    from replay.attack.templates import Templates

    if (url is None) is not (model is None):
        raise click.UsageError("An attacker that is a model takes both --attacker-url and --attacker-model.")
    if url is None or model is None:
        return [Templates()]
    from replay.attack.llm import ModelAttacker

    return [Templates(), ModelAttacker(url, model)]
