"""`auditlog attack run`: one bounded search for attacks that work.

The rules:

1. What it may take, and what the agent may reach, is said as for `replay run`.
2. It exits with 1 where an attack worked, and with 3 where nothing was tried: no text fitted, or nothing ran to where something
   could be seen. A budget that ended it before one worked is a 4.
3. `--resume` goes on with a campaign as it was begun. What is sent to another server is said anew each time.
4. A language is one that texts are written in, unless a model writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, record_access, store_option, store_words
from replay.cli import serving_options as serving
from replay.cli.option_groups import Given, SectionedCommand, options_of
from replay.cli.run_options import Baseline, Filter, Most, Target
from replay.cli.running import WITH_RESUME, on_resume, refuse_empty, refuse_ignored

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.attack.campaign import CampaignProgress
    from replay.attack.running import Ended
    from replay.attack.settings import Model, Settings
    from replay.running.run_plan import RunPlan

_MODEL = ("attacker_url", "attacker_model", "attacker_key_env", "attacker_asks", "send_words")
_NO_BASELINE = "No baseline is named"


def model_options(command: Any) -> Any:
    """Add the options of an attacker that is a model; give the command `model`."""
    import functools

    @functools.wraps(command)
    def with_model(**given: Any) -> Any:
        return command(model=_model(**{name: given.pop(name) for name in _MODEL}), **given)

    decorated: Any = with_model
    for option in (
        click.option(
            "--send-words",
            is_flag=True,
            help="Send that model what customers said: redacted where the store redacts, without addresses and numbers.",
        ),
        click.option(
            "--attacker-asks",
            type=click.IntRange(min=1),
            metavar="N",
            help="Ask that model at most N times; 60 where it is not given.",
        ),
        click.option("--attacker-key-env", metavar="NAME", help="The variable that holds that server's key."),
        click.option("--attacker-model", metavar="NAME", help="That model's name."),
        click.option(
            "--attacker-url",
            metavar="URL",
            help="A model that writes attacks, too: an OpenAI-compatible address. It gets no customer's words.",
        ),
    ):
        decorated = option(decorated)
    return decorated


@click.command(cls=SectionedCommand, short_help="Search for attacks that work on a candidate.")
@options_of(Target, Baseline, Filter, Most, serving.Matching, serving.Bounds, serving.Place, serving.Builds)
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
    "--language",
    "languages",
    multiple=True,
    metavar="LANGUAGE",
    help="en or de, or any that --attacker-url writes; may be repeated. English where none is given.",
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
@model_options
@click.option(
    "--about", default="", metavar="TEXT", help="What the agent is for, for an attacker that is a model."
)
@click.option(
    "--resume", metavar="CAMPAIGN", help="Go on with this unfinished campaign; `last` for the newest."
)
@format_choice("text", "json")
@store_option
def run(
    given: Given,
    lists: Sequence[str],
    surfaces: Sequence[Any],
    languages: Sequence[str],
    attacks: int,
    seed: int,
    model: Model | None,
    about: str,
    resume: str | None,
    format: str,
    store: str,
) -> None:
    """Search for attacks that work on a candidate, and keep what is found.

    Exits with 1 where one worked, and with 3 where nothing was tried.
    """
    import replay as engine
    from replay.attack.campaign import Bounds
    from replay.attack.running import resume_campaign
    from replay.attack.settings import Settings
    from replay.risks.taxonomy import SURFACES, taxonomies
    from replay.sandbox.modes import Modes

    if resume is None:
        given[Target].require("--candidate SPEC")
    _refuse_unwritten(languages, model)
    planning = given.planning()
    with open_store(store) as opened:
        if resume is not None:
            refuse_ignored(f"Campaign {resume}", WITH_RESUME | {*_MODEL})
            planned, settings = resume_campaign(opened, resume, **on_resume(given))
            _compare_models(planned.run_id, settings.model, model)
            _try(opened, planned, settings, format, store_words(store))
            return
        refuse_empty(opened)
        planned = engine.plan(opened, **planning, modes=Modes(on_miss="simulate"), sample=0.0, fresh=True)
        settings = Settings(
            lists=tuple(found.name for found in taxonomies() if not lists or found.name in lists),
            surfaces=tuple(surface for surface in SURFACES if not surfaces or surface in surfaces),
            languages=tuple(dict.fromkeys(languages)) or ("en",),
            bounds=Bounds(attacks=attacks),
            seed=seed,
            about=about,
            model=model,
        )
        _try(opened, planned, settings, format, store_words(store))


def _try(store: Store, planned: RunPlan, settings: Settings, format: str, words: str) -> None:
    """Run a campaign, write what it found, and end as that says."""
    from auditlog.cli.output import Progress, narrate
    from auditlog.safe_text import safe_text
    from auditlog.wording import many
    from replay.attack.keeping import load_campaign
    from replay.attack.running import run_campaign
    from replay.cli.attack.writing import write_campaign

    for note in planned.notes:
        if not note.startswith(_NO_BASELINE):
            narrate(note)
    if planned.baseline is None:
        narrate(
            "No baseline is named, so only what is wrong by itself counts. Name the version in production with --baseline."
        )
    record_access(
        store, "attack run", filter=planned.where or None, ids=[planned.run_id], rows=len(planned.cases)
    )
    goes_on = " goes on" if planned.resumed else ""
    narrate(
        f"Campaign {planned.run_id}{goes_on}: at most {many(settings.bounds.attacks, 'attack')} on "
        f"{safe_text(planned.candidate.label)}, {planned.mode}"
    )

    def sends(conversations: Sequence[str]) -> None:
        record_access(
            store, "attack run --send-words", ids=conversations, rows=len(conversations), required=True
        )

    with Progress("Attacking", settings.bounds.attacks) as shown:

        def told(at: CampaignProgress) -> None:
            shown.update(at.attacks, at.most, f"{at.doing}, {at.worked} worked")

        ended = run_campaign(store, planned, settings, told=told, sends=sends)
    _tell_failures(ended)
    if ended.result is None:
        narrate(
            f"Interrupted; what is done is kept. `auditlog attack run --resume {planned.run_id}{words}` goes on."
        )
        raise click.exceptions.Exit(Exit.INTERRUPTED)
    found = load_campaign(store, planned.run_id)
    write_campaign(found, as_json=format == "json")
    store.seal(wait=False)
    if ended.result.budget is not None:
        narrate(
            f"A budget is used up; what is done is kept. `auditlog attack run --resume {planned.run_id}{words}` with a larger "
            "one goes on."
        )
    if found.findings:
        narrate(f"`auditlog attack show {found.run_id}{words}` shows them again.")
        raise click.exceptions.Exit(Exit.NO)
    if ended.result.budget is not None:
        raise click.exceptions.Exit(Exit.BUDGET)
    _refuse_nothing_tried(ended)


def _tell_failures(ended: Ended) -> None:
    """Say how often an attacker that is a model gave nothing, and why."""
    from auditlog.cli.output import narrate
    from auditlog.wording import many

    if ended.failures:
        total = sum(ended.failures.values())
        narrate(
            f"The attacker's model was asked {many(ended.asked, 'time')} and gave no attack {many(total, 'time')}:"
        )
        for line in _counted(ended.failures):
            narrate(line)


def _refuse_nothing_tried(ended: Ended) -> None:
    from replay.errors import RunError

    result = ended.result
    if result is None or result.attacks > result.unproven:
        return
    if not result.attacks:
        raise RunError(
            "Nothing was tried: no text fits these turns by these ways, in these languages. `auditlog attack coverage` shows "
            "the cells; choose other lists, surfaces or turns."
        )
    raise RunError(
        f"Nothing was tried: none of {result.attacks} attacks ran in both versions to where something could be seen. "
        "Does the agent reach its model (--allow-host, --env)? Why:\n"
        + "\n".join(_counted(result.why_unproven))
    )


def _counted(reasons: Mapping[str, int]) -> list[str]:
    from auditlog.safe_text import safe_text

    return [f"  {count} × {safe_text(why)}" for why, count in reasons.items()]


def _model(
    *,
    attacker_url: str | None,
    attacker_model: str | None,
    attacker_key_env: str | None,
    attacker_asks: int | None,
    send_words: bool,
) -> Model | None:
    from replay.attack.settings import MOST_ASKED, Model

    if (attacker_url is None) is not (attacker_model is None):
        raise click.UsageError("An attacker that is a model takes both --attacker-url and --attacker-model.")
    if attacker_url is None or attacker_model is None:
        if attacker_key_env or attacker_asks or send_words:
            raise click.UsageError(
                "--attacker-key-env, --attacker-asks and --send-words are about a model: name it with --attacker-url and "
                "--attacker-model."
            )
        return None
    if attacker_key_env and not attacker_key_env.isidentifier():
        raise click.UsageError(
            "--attacker-key-env takes a variable's name, such as OPENAI_API_KEY, and never the key."
        )
    return Model(
        attacker_url, attacker_model, attacker_key_env or "", attacker_asks or MOST_ASKED, send_words
    )


def _compare_models(run_id: str, began: Model | None, named: Model | None) -> None:
    """Refuse to go on where the model that is named is not the one that the campaign was begun with.

    A store from elsewhere must not choose where customers' words are sent, or a key.
    """
    if began == named:
        return
    if began is None:
        raise click.UsageError(
            f"Campaign {run_id} was begun without a model, and goes on without: leave --attacker-url out."
        )
    said = [
        f"--attacker-url {began.url}",
        f"--attacker-model {began.name}",
        f"--attacker-asks {began.most_asked}",
    ]
    said += [f"--attacker-key-env {began.key_env}"] * bool(began.key_env) + [
        "--send-words"
    ] * began.send_words
    raise click.UsageError(
        f"Campaign {run_id} was begun with {' '.join(said)}. It goes on with the very same: name them all again."
    )


def _refuse_unwritten(languages: Sequence[str], model: Model | None) -> None:
    """Refuse a language that nobody writes attacks in."""
    from replay.attack.templates import languages as written

    known = written()
    for language in languages:
        if language not in known and model is None:
            raise click.UsageError(
                f"No text is written in {language!r}: there are {', '.join(known)}. A model writes others: --attacker-url."
            )
