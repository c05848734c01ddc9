"""The Merkle tree: the published vectors, and every size against the definition of RFC 6962."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    root_of_inclusion,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# The leaves, roots and proofs with which certificate-transparency's implementations are tested; here as in
# google/trillian, merkle/testonly/constants.go.
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def some(count):
    """Give so many different leaf hashes."""
    return [leaf_hash(str(number).encode()) for number in range(count)]


def naive_root(leaves):
    """Give the root as RFC 6962, section 2.1, defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_are_ours(size):
    """Each size of the published tree has the published root, however it is made."""
    assert ROOTS[size] == tree_root(LEAVES[:size]).hex()
    assert ROOTS[size] == Tree(LEAVES).root(size).hex()


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs_are_ours(index, size):
    """The published paths are what is made, and lead to the published roots."""
    proof = [bytes.fromhex(step) for step in INCLUSION[index, size]]
    assert proof == Tree(LEAVES).inclusion(index, size)
    assert verify_inclusion(LEAVES[index], index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_the_published_consistency_proofs_are_ours(first, second):
    """The published proofs are what is made, and join the published roots."""
    proof = [bytes.fromhex(step) for step in CONSISTENCY[first, second]]
    assert proof == Tree(LEAVES).consistency(first, second)
    roots = bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second])
    assert verify_consistency(first, second, *roots, proof)


@given(st.integers(0, 200))
def test_any_size_has_the_root_of_the_definition(size):
    """Roots made leaf by leaf, level by level, and by the definition are the same."""
    leaves = some(size)
    assert naive_root(leaves) == tree_root(leaves) == Tree(leaves).root()


@given(st.data())
def test_every_leaf_has_a_proof_and_it_proves_nothing_else(data):
    """A proof verifies for its leaf, index, size and root, and for no other of any of them."""
    size = data.draw(st.integers(1, 90))
    index = data.draw(st.integers(0, size - 1))
    leaves = some(size + 3)
    tree = Tree(leaves)
    proof, root = tree.inclusion(index, size), naive_root(leaves[:size])
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaves[index + 1], index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, proof, tree.root(size + 1))
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    for other in range(-1, size + 1):
        assert (other == index) == verify_inclusion(leaves[index], other, size, proof, root)
    for number, step in enumerate(proof):
        changed = bytes([step[0] ^ 1]) + step[1:]
        assert not verify_inclusion(
            leaves[index], index, size, [*proof[:number], changed, *proof[number + 1 :]], root
        )
        assert not verify_inclusion(leaves[index], index, size, [*proof[:number], *proof[number + 1 :]], root)


@given(st.data())
def test_every_earlier_size_is_a_prefix_and_no_other_tree_is(data):
    """A consistency proof verifies between the roots that it is for, and between no others."""
    second = data.draw(st.integers(1, 90))
    first = data.draw(st.integers(0, second))
    leaves = some(second)
    tree = Tree(leaves)
    proof = tree.consistency(first, second)
    old, new = naive_root(leaves[:first]), naive_root(leaves)
    assert verify_consistency(first, second, old, new, proof)
    assert not verify_consistency(first, second, leaf_hash(b"x"), new, proof)
    assert not verify_consistency(first, second, old, leaf_hash(b"x"), proof) or not first
    assert not verify_consistency(first, second, old, new, [*proof, new])
    for number in range(len(proof)):
        assert not verify_consistency(first, second, old, new, [*proof[:number], *proof[number + 1 :]])


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_frontier_goes_on_from_anywhere(first, more):
    """A tree taken up again from its full subtrees grows as if it had never been left."""
    leaves = some(first + more)
    begun = Frontier()
    for leaf in leaves[:first]:
        begun.add(leaf)
    again = Frontier(begun.size, begun.roots)
    for leaf in leaves[first:]:
        again.add(leaf)
    assert (len(leaves), tree_root(leaves)) == (again.size, again.root())


@given(
    st.integers(-2, 2**70),
    st.integers(-2, 2**70),
    st.lists(st.binary(max_size=40), max_size=80),
    st.binary(max_size=33),
)
def test_a_proof_of_nonsense_is_refused_and_raises_nothing(first, second, proof, root):
    """Whatever a stranger hands in as a proof, the answer is no."""
    assert not verify_inclusion(root, first, second, proof, b"")
    assert not verify_consistency(first, second, root, b"", proof) or first == second == 0
    assert root_of_inclusion(root, 5, 5, proof) is None


def test_a_frontier_of_another_size_is_refused():
    """Roots that do not belong to a size are not gone on from."""
    with pytest.raises(ValueError, match="does not have 1 full subtrees"):
        Frontier(3, [EMPTY_ROOT])
    with pytest.raises(ValueError, match="no such leaf"):
        Tree(LEAVES).inclusion(8)
