"""From journals to sealed segments.

`scan` finds and reads the journals, `merge` makes spans of their records, `rows` and `packing` lay them out, `segment` writes the
file and reads it back, `evidence` checks what is read against what was hashed, `seal` is the whole of it.
"""
