"""What a newcomer waits for, in seconds and megabytes: ``python -m benchmarks.newcomer``."""
