"""Annotates mechanism of action, clusters profiles and finds neighbours."""
