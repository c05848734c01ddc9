"""The full-text index of a store: which conversations can hold a text at all.

The rules:

1. It is derived and disposable, in the store's `cache/`; nothing is ever shown out of it. It names candidates, and their
   content decides.
2. It misses nothing: a search with it finds what a search through everything finds. Where its words say nothing of a text,
   or too many conversations could hold it, everything is read instead.
3. It is made when it is asked for, and kept up by whoever seals; segments that it does not hold yet are read whole.
4. What leaves the store leaves it: the part of the index that holds a pruned or erased segment is deleted, and made again.
"""
