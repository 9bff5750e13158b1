"""What can be concluded from few, noisy numbers? Estimators, the sequential test, paired items.

Pure functions of numbers. Imports ``core`` only. Start with ``estimators.py``.
"""
