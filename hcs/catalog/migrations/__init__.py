"""Every schema that a catalog ever had, as steps of alembic from the first table on."""

HEAD = "0008"
"""The newest step: what a catalog is brought to when it is opened."""
