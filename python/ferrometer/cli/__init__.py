"""The `ferrometer` command."""
