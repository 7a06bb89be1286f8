"""Collectors of the process, its control group, its host and the Python runtime."""
