"""Aggregates vectors to wells and treatments, and removes plate effects."""
