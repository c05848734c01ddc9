"""The Merkle tree hash of RFC 6962, section 2.1, over leaf hashes.

The rules:

1. A leaf is SHA-256(0x00 ‖ entry), made by `auditlog.record.leaf_hash`; a node is SHA-256(0x01 ‖ left ‖ right).
2. The left subtree is the largest full one; the empty tree's hash is SHA-256 of nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Give the root over leaf hashes, in order."""
    # Full subtrees by size, largest first: two of one size make the next larger one.
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, root = 1, leaf
        while stack and stack[-1][0] == size:
            size, root = size * 2, node(stack.pop()[1], root)
        stack.append((size, root))
    if not stack:
        return hashlib.sha256(b"").digest()
    root = stack.pop()[1]
    while stack:
        root = node(stack.pop()[1], root)
    return root


def node(left: bytes, right: bytes) -> bytes:
    """Give the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()
