"""The root of the project: pytest finds the plugin by its entry point, nothing is loaded here."""
