"""Which models are declared, which of their files are on this disk, and what will they cost?

May import ``core`` only. Start with ``registry`` (what is declared) and ``memory_fit`` (does it
fit?); ``footprint`` and ``roofline`` have the arithmetic, ``weights`` the files.
"""
