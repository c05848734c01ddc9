"""The ledger: an append-only, signed list of what a store holds and of what was done with it.

From bytes to promises: `entries` (frames), `merkle` (the tree), `note` (the signed checkpoint), `keys`, `locks`, `ledger`
(reading and appending), `cache`, and `anchors`, which carry a checkpoint to where the store's owner cannot change it.
"""
