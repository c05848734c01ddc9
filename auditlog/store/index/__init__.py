"""The index of a store: where each conversation lies, and a roll-up row that sums it up.

The rules:

1. It is derived and disposable: one SQLite file in the store's `cache/`, made again of the segments when it is missing,
   foreign or damaged. Nothing in it is evidence, and no content is ever taken from it.
2. A segment is taken in only when its bytes have the SHA-256 that the ledger lists, and leaves when the ledger no longer
   lists it.
3. It answers only for exactly the segments of the reader's picture; for any other it is as if there were none.
4. What it answers is what the view `conversations` answers; live rows are merged in when they are read.
5. Answering from it loads neither DuckDB nor pyarrow.
"""
