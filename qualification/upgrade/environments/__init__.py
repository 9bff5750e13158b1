"""Which interpreter with which releases do workers run under? Named pins, resolved and built once.

May import ``core``, and ``models`` for reading declarations. Start reading in ``spec.py``, what an
environment is, then ``cache.py``, which builds one with ``pip.py``.
"""
