"""The lists of risks, and what the store says of each: shared by what attacks (`replay.attack`) and what judges (`replay.gate`).

| What | Module |
|---|---|
| The published lists, and the cells that they make with surfaces and languages | `taxonomy` |
| What a campaign wrote down of each cell, and how it is read back | `tried` |
"""
