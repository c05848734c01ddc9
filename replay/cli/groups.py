"""Groups of commands: in the order in which one uses them, and a mistyped one is answered with the nearest."""

from __future__ import annotations

import click


class OrderedGroup(click.Group):
    """A group that names the nearest of its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with."""
        from auditlog.cli.main import refuse_unknown

        if args[0] not in self.commands and not args[0].startswith("-"):
            refuse_unknown(args[0], list(self.commands), ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Give the commands in the order in which one uses them."""
        return list(self.commands)
