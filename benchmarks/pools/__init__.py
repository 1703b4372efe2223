"""The rooms of benchmarks/pool.py; the program stands beside this folder, and each of its tasks runs it again."""
