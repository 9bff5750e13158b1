"""Which sessions did a person accept, which are stale, which expire, and how do two compare?

Imports ``core`` and the rest of ``judging``. Start with ``storage.py``, the format of the files.
"""
