"""Ferrometer in place of prometheus_client."""
