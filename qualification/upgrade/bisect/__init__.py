"""Which package, and which release of it, broke a check? The search behind ``qualify bisect``.

May import ``session`` and the rest of ``upgrade``. Start reading at ``driver``: it builds the two
environments and hands them to ``search``, which asks one of the ``judges`` about each candidate;
``reproduction`` turns the result into files.
"""
