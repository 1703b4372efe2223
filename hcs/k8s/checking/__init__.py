"""Checks of manifests without a cluster: pure functions over parsed objects that return findings."""
