"""What a fork goes on from: the turns of a conversation, or those of a run.

The rules:

1. A conversation is named by its id or a beginning of it, a run likewise or as `last`; an id that is both is the run's.
2. Of a run, the fork takes its cases and, where no other agent is named, its candidate: from the directory that the run was
   begun in, and only there. A store from elsewhere must not choose which code is run here.
3. The earlier turns of a conversation are as they were recorded: a case is one turn, with the recorded history.
4. A fork at a call that no chosen turn has is an error, and says how many calls there are.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlog.errors import NotFoundError
from auditlog.wording import many
from replay.errors import RunError
from replay.running.case_lists import with_cases
from replay.running.describing import run_directory
from replay.running.runs import manifests
from replay.sandbox.fork import first_calls
from replay.targets.planned import target_from_json

if TYPE_CHECKING:
    from auditlog.store import Store
    from auditlog.values import Conversation


@dataclass(frozen=True, slots=True)
class Source:
    """What a fork goes on from."""

    where: str
    """A filter that chooses at least its conversations."""
    turns: frozenset[str]
    """The span ids of its turns' agents."""
    since: datetime | None = None
    until: datetime | None = None
    candidate: str = ""
    """Of a run: what it tried, a commit by its id."""
    entry: str = ""
    """Where the agent is in it: `module:attribute`."""
    adapter: bool = False


def source_of(
    store: Store,
    name: str,
    *,
    turn: int | None,
    at: int,
    path: str | os.PathLike[str] | None = None,
    names_agent: bool = False,
) -> Source:
    """Find what a fork goes on from.

    Args:
        store: where it is.
        name: a conversation or a run.
        turn: only the Nth turn of the conversation, from 1.
        at: how many calls come before the fork.
        path: the directory to run in; by default the current one.
        names_agent: whoever forks names an agent, and a run's candidate is not asked for.

    Raises:
        NotFoundError: there is neither.
        RunError: there is no such turn, or no such call in it; or the run was begun elsewhere.
    """
    if (manifest := _run(store, name)) is not None:
        if turn is not None:
            raise RunError(
                f"{name!r} is a run, and --turn chooses a turn of a conversation. Name a conversation."
            )
        if manifest["kind"] == "compare":
            raise RunError(
                f"Run {manifest['run_id']} compares recordings, and has no agent to go on with. Name a conversation."
            )
        return _of_run(manifest, None if names_agent else run_directory(path))
    try:
        conversation = store.conversation(name)
    except NotFoundError as error:
        raise NotFoundError(
            f"There is neither a run nor a conversation {name!r}. {_second_sentence(error)}"
        ) from None
    return _of_conversation(conversation, turn, at)


def _run(store: Store, name: str) -> Any:
    known = manifests(store)
    if name == "last":
        return with_cases(store, known[0]) if known else None
    fitting = [m for m in known if m["run_id"] == name] or [
        m for m in known if name and m["run_id"].startswith(name)
    ]
    return with_cases(store, fitting[0]) if len(fitting) == 1 else None


def _of_run(manifest: Any, directory: str | None) -> Source:
    began = [str(path) for path in manifest.get("paths") or ()]
    if directory is not None and began != [directory]:
        raise RunError(
            f"Run {manifest['run_id']} was begun in {', '.join(began) or 'no directory'}, and this is {directory}. Go there, "
            "name it with --path, or name what goes on with --agent."
        )

    def moment(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text)

    return Source(
        where=str(manifest.get("where") or ""),
        turns=frozenset(case[3] for case in manifest["cases"]),
        since=moment(manifest.get("since")),
        until=moment(manifest.get("until")),
        candidate=target_from_json(manifest["candidate"]).pinned_spec,
        entry=str(manifest["candidate"]["path"]),
        adapter=bool(manifest["candidate"]["adapter"]),
    )


def _of_conversation(conversation: Conversation, turn: int | None, at: int) -> Source:
    turns = conversation.turns
    if turn is not None and turn > len(turns):
        raise RunError(f"{conversation.conversation_id} has {many(len(turns), 'turn')}, and no turn {turn}.")
    chosen = turns if turn is None else turns[turn - 1 : turn]
    most = max((len(first_calls(each, sys.maxsize)) for each in chosen), default=0)
    if most < at:
        which = "its longest turn" if turn is None else f"turn {turn}"
        raise RunError(
            f"There is no call {at} to go on after in {conversation.conversation_id}: {which} holds {most}. "
            f"`auditlog show {conversation.conversation_id} --full` shows them."
        )
    quoted = conversation.conversation_id.replace("\\", "\\\\").replace('"', '\\"')
    return Source(where=f'conversation:"{quoted}"', turns=frozenset(each.turn_id for each in chosen))


def _second_sentence(error: NotFoundError) -> str:
    return str(error).partition(". ")[2]
