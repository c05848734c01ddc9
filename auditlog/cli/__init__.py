"""The `auditlog` command.

The rules:

1. `auditlog --help` imports no command: each command is a module of its own, imported when it is used.
2. stdout is data and stderr is narration.
3. Recorded text passes `safe_text` on its way to a terminal, whatever the command.
4. Every failure is one sentence on stderr and an exit code of `exits.Exit`.
"""
