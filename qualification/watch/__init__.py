"""The endurance run: one request after another for minutes or days, and what changes meanwhile.

``levels`` (tier data) and what was seen (``records``) go into ``tally`` and ``alerts``, which are
pure; ``run`` asks a ``subject`` and keeps a ``log`` that ``reading`` reads again; ``screen`` and
``exposition`` show it.
"""
