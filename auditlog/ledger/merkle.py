"""The Merkle tree of RFC 6962, section 2.1: roots, proofs, and their verification.

The rules:

1. A leaf is SHA-256(0x00 ‖ entry); a node is SHA-256(0x01 ‖ left ‖ right). Everything here begins at leaf hashes.
2. The left subtree is the largest full one; the empty tree's hash is SHA-256 of nothing.
3. Nothing is read or written here: values in, values out. Verifying a proof never raises, whatever it is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Proof = Sequence[bytes]
"""The hashes of a proof, from the leaf's side up."""


def leaf_hash(entry: bytes) -> bytes:
    """Give the hash of a leaf: SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Give the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows: the roots of its full subtrees, largest first, are all that it keeps."""

    __slots__ = ("roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        """Go on from a size and the roots that belong to it.

        Raises:
            ValueError: there are more or fewer roots than a tree of that size has full subtrees.
        """
        self.size = size
        self.roots = list(roots)
        if size < 0 or len(self.roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves does not have {len(self.roots)} full subtrees")

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        roots, size = self.roots, self.size
        while size & 1:
            leaf = hashlib.sha256(b"\x01" + roots.pop() + leaf).digest()
            size >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Give the root of the tree as it stands."""
        if not self.roots:
            return EMPTY_ROOT
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return root


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Give the root over leaf hashes, in order."""
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


class Tree:
    """A whole tree over leaf hashes, which gives roots and proofs at any of its sizes."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Hash every full subtree once."""
        level = list(leaves)
        self._levels = [level]
        """Level k holds the roots of the full subtrees of 2**k leaves."""
        while len(level) > 1:
            level = [node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(level)

    def __len__(self) -> int:
        return len(self._levels[0])

    def root(self, size: int | None = None) -> bytes:
        """Give the root of the first `size` leaves; of all where it is None."""
        size = len(self) if size is None else size
        self._refuse(0 <= size <= len(self))
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Give the proof that leaf `index` is in the tree of the first `size` leaves.

        Raises:
            ValueError: there is no such leaf.
        """
        size = len(self) if size is None else size
        self._refuse(0 <= index < size <= len(self))
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, first: int, second: int | None = None) -> list[bytes]:
        """Give the proof that the tree of the first `first` leaves is a prefix of that of `second`.

        Raises:
            ValueError: there are no such sizes.
        """
        second = len(self) if second is None else second
        self._refuse(0 <= first <= second <= len(self))
        if first in (0, second):
            return []
        path: list[bytes] = []
        start, end, whole = 0, second, True
        while end != first:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """Give the root of the leaves from `start`, which is a multiple of the largest full subtree in between."""
        width = end - start
        height = width.bit_length() - 1
        if width == 1 << height:
            return self._levels[height][start >> height]
        middle = start + _split(width)
        return node(self._range(start, middle), self._range(middle, end))

    @staticmethod
    def _refuse(fits: bool) -> None:
        if not fits:
            raise ValueError("there is no such leaf or size in this tree")


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Proof) -> bytes | None:
    """Give the root that an inclusion proof leads to; None where it has no meaning."""
    if not 0 <= index < size or any(len(step) != HASH_BYTES for step in (leaf, *proof)):
        return None
    place, last, root = index, size - 1, leaf
    for step in proof:
        if not last:
            return None
        if place & 1 or place == last:
            root = node(step, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node(root, step)
        place, last = place >> 1, last >> 1
    return None if last else root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Proof, root: bytes) -> bool:
    """Say whether a proof shows that a leaf hash is in the tree of a root."""
    return root_of_inclusion(leaf, index, size, proof) == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Proof) -> bool:
    """Say whether a proof shows that one tree is a prefix of another."""
    if not 0 <= first <= second or any(len(h) != HASH_BYTES for h in (first_root, second_root, *proof)):
        return False
    if first == second:
        return not proof and first_root == second_root
    if not first:
        return not proof and first_root == EMPTY_ROOT
    steps = list(proof)
    if first & (first - 1) == 0:
        # A full tree is a node of the larger one, and the proof leaves it out.
        steps.insert(0, first_root)
    if not steps:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            old, new = node(step, old), node(step, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node(new, step)
        place, last = place >> 1, last >> 1
    return not last and old == first_root and new == second_root


def _split(width: int) -> int:
    """Give the size of the left subtree: the largest power of two below a width."""
    return 1 << ((width - 1).bit_length() - 1)
