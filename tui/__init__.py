"""The terminal UI: investigate an incident, and read a replay's differences.

The rules:

1. It knows `replay` and `auditlog`, and neither knows it.
2. `tui.render` turns values into lines and needs no terminal; `tui.screens` moves a cursor over lines and asks a reader.
3. Whatever was recorded passes `auditlog.safe_text` on its way to a line, is never read as markup, and meets one more
   guard before it leaves for the terminal.
"""
