"""The seam between an application and its features."""
