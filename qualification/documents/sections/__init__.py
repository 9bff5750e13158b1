"""The sections of a session's documents: each module makes one or two from rows and records."""
