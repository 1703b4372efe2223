"""What benchmarks/api.py measures: a large catalog, a plate with images, and somebody who asks at a fixed rate."""
