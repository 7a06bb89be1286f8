"""Metrics sent to other systems."""
