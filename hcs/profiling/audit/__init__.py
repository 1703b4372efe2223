"""Measures what corrections of profiles do to batches and to biology, and picks one by a declared rule."""
