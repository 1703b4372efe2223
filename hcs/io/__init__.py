"""Finds the images of a delivered plate, reads its platemap, and reads pixels."""
