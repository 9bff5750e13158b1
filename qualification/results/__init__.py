"""What did a run leave? The database, its tables, and the last lines on the terminal.

Imports every room below: ``core`` to ``session``. Start with ``conclude.py``, which ends a run.
"""
