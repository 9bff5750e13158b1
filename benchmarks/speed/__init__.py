"""Do our speed and memory figures agree with those of other tools on the same weights?

``pairs`` compares in interleaved pairs, ``predicted`` compares predicted with measured memory,
``whole`` times whole commands; start at ``benchmarks/__main__.py``, which runs them.
"""
