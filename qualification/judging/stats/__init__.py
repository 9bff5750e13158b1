"""What can be concluded from few, noisy numbers? Estimators, the sequential test, paired items.

Pure functions of numbers. Imports ``core`` only, and scipy inside the functions that need it.
Start with ``estimators.py``.
"""
