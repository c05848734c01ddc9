"""What a stranger can tell of a store.

`verify` comes to one of the outcomes of `verdict`; `prove` makes proofs out of a store, `proof` checks them without one.
"""
