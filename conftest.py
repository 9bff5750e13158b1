"""Loads the plugin, nothing else."""

pytest_plugins = ["qualification.pytest_plugin"]
