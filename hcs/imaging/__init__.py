"""Corrects illumination, measures quality, cuts tiles and counts nuclei of pixels already in memory."""
