"""`python -m auditlog.cli`: the command, where its script is not on the path."""

from auditlog.cli.main import main

main()
