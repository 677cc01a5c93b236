"""The watch lane: who of each pair is active, since when and why, seen from outside.

`lane` runs it, `pair_watch` is one pair, `schedule` and `history` are pure; docs/watching.md tells users.
"""
