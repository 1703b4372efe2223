"""Claims submitted runs, performs them, and records what became of them."""
