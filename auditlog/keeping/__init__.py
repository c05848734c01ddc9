"""The life of a store after sealing: compacting, pruning, holding, erasing, migrating.

Each of them writes sealed files anew (`rewrite`), says so in a signed entry of the ledger, and only then takes the old ones away.
"""
