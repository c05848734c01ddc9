"""Pure functions from values to lines: no terminal, no store, no clock."""
