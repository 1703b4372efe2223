"""Answers people and machines over HTTP: submits runs, and asks what they found."""
