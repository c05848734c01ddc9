"""Options in groups: each group is a frozen value that says what a plan takes of it, and a section of `--help`.

The rules:

1. A group is a dataclass. Its fields are its options' names, and `planning` is all that `replay.plan` takes of them: an option
   that stands on a command reaches the plan, or the command reads it by its group.
2. A command takes its groups as one value, `given`.
3. `--help` lists the options below the headings of their groups, in one order for every command; what belongs to no group is
   last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar, cast

import click

from auditlog.cli.exits import GateCommand

SECTIONS = ("What runs", "Which turns", "What is served", "Limits", "Where")
"""The headings, in the order of `--help`."""
REST = "Output and the rest"
"""The heading of what belongs to no group."""
_SECTION = "auditlog_section"


class OptionGroup(Protocol):
    """Options that belong together."""

    section: ClassVar[str]
    """One of `SECTIONS`."""
    options: ClassVar[tuple[Callable[[Any], Any], ...]]
    """What `click.option` gives, in the order of `--help`."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, **given: Any) -> None:
        """Make it of what was given, by the options' names."""

    def planning(self) -> dict[str, Any]:
        """Give the arguments of `replay.plan` that these options are."""
        ...


G = TypeVar("G", bound=OptionGroup)


class Given:
    """What was given, by group."""

    def __init__(self, groups: Iterable[OptionGroup]) -> None:
        self._groups = {type(group): group for group in groups}

    def __getitem__(self, kind: type[G]) -> G:
        """Give one group's value."""
        return cast("G", self._groups[kind])

    def planning(self) -> dict[str, Any]:
        """Give the arguments of `replay.plan` that all of it is."""
        return {name: value for group in self._groups.values() for name, value in group.planning().items()}


def options_of(*kinds: type[OptionGroup]) -> Callable[[Any], Any]:
    """Add the options of some groups to a command, which takes them as `given`."""

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def with_groups(**options: Any) -> Any:
            groups = [
                kind(**{field.name: options.pop(field.name) for field in fields(kind)}) for kind in kinds
            ]
            return command(given=Given(groups), **options)

        decorated: Any = with_groups
        for kind in reversed(kinds):
            for option in reversed(kind.options):
                decorated = option(decorated)
                setattr(decorated.__click_params__[-1], _SECTION, kind.section)
        return decorated

    return decorate


class SectionedCommand(click.Command):
    """A command whose `--help` has a heading for each group of options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below their headings."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, _SECTION, REST), []).append(record)
        for title in (*SECTIONS, REST):
            if title in sections:
                with formatter.section(title):
                    formatter.write_dl(sections[title])


class SectionedGateCommand(SectionedCommand, GateCommand):
    """One that ends with a verdict."""
