"""What benchmarks/dashboard.py measures: visits of pages in a browser, and the memory of the processes that serve."""
