"""Corrections of normalized profiles: for position, cell count and batch."""
