"""A service in a terminal: ``ferrometer top URL|DIR``."""
