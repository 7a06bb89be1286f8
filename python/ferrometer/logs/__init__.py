"""Structured logs: one redacted JSON line per event, bounded, counted, shipped without the GIL."""
