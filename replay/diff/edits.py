"""What turns one sequence into another, within bounds of time and memory.

The rules:

1. Equal beginnings and ends are found first, and the shortest edit of what is between them.
2. The table for that grows with the product of the lengths. Beyond `LARGEST_TABLE` what is between is one change.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rapidfuzz.distance import Indel, Opcode, Opcodes

LARGEST_TABLE = 100_000_000
"""Cells; each is a bit of memory."""


def edits(before: Sequence[Hashable], after: Sequence[Hashable]) -> Opcodes:
    """Give the runs that are equal, deleted and inserted, in order."""
    head = common(before, after)
    tail = common(before[head:][::-1], after[head:][::-1])
    old_end, new_end = len(before) - tail, len(after) - tail
    if (old_end - head) * (new_end - head) <= LARGEST_TABLE:
        return Indel.opcodes(before, after)
    codes = [
        Opcode("equal", 0, head, 0, head),
        Opcode("delete", head, old_end, head, head),
        Opcode("insert", old_end, old_end, head, new_end),
        Opcode("equal", old_end, len(before), new_end, len(after)),
    ]
    taken: list[Opcode | tuple[str, int, int, int, int]] = [
        code for code in codes if code.src_start < code.src_end or code.dest_start < code.dest_end
    ]
    return Opcodes(taken, len(before), len(after))


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the equal items at the beginning of two sequences."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))
