"""The dashboards, by what they are about; each module has ``boards(namespace)``."""
