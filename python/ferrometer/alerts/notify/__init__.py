"""Notifications with Alertmanager's semantics, by its own configuration file."""
