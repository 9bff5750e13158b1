"""What several suites share and is no test: raw HTTP, bad requests, settings of hypothesis."""
