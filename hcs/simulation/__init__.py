"""Makes synthetic Cell Painting screens with known truth."""
