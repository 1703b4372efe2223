"""Annotates mechanism of action and finds neighbours."""
