"""Ready-made rules as plain data: a file for each pack."""
