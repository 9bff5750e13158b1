"""The suites: ordinary pytest tests that use the plugin's fixtures and nothing else of ours."""
