"""Runs the same plan on a Ray cluster: a pool of actors, each of which performs whole units.

Pixels never travel: an actor is given a description of a unit, reads, computes and writes its parts, and returns a
receipt. Ray repeats nothing; the ledger does.
"""
