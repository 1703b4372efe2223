"""Sees to it that every submitted run has one RayJob that works on it, and that no other is there."""
