"""What people type: one file a command group, heavy imports inside the commands."""
