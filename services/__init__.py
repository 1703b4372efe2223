"""Processes that run beside the command line: the API, and the dispatcher of submitted runs."""
