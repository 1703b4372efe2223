"""Loads an encoder with its channel contract and turns a batch of pixels into vectors."""
