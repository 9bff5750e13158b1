"""How do measurements become a verdict? Statistics, budgets and stored baselines.

Pure except for the files of ``baselines/``. Imports ``core``, ``machine`` and ``models``; nothing
here runs a model. Start with ``verdicts.py``.
"""
