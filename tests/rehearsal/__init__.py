"""The rehearsal of ``pytest -m air_m4``: from an empty cache to the document. docs/rehearsal.md."""
