"""The vocabulary of the platform: records, table contracts and protocols.

Nothing here computes or reads: every package may import `schemas`, and `schemas` imports none of them.
"""
