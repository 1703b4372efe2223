"""The statistics that several stops share, on plain arrays."""
