"""Plans a run as work units and performs them in this process."""
