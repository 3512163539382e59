"""The same models in other frameworks and in plain loops, each a short script at its best settings.

Every script runs in an environment of its own (`python -m benchmarks.peers` makes them) and speaks the protocol of
`protocol.py`, so that a benchmark can let them take turns.
"""
