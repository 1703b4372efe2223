"""Remembers screens, plates, runs, the ledger of work units and the results."""
