"""The map of releases: which release of a library sees with which model."""
