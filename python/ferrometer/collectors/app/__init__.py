"""Collectors of what only the application has: caches, queues, published values."""
