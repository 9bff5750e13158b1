"""Does it hold out? The soak test behind ``qualify watch``: what changes over hours and days.

May import ``session`` and everything under it. ``thresholds`` (tier data) and what was observed
(``records``) go into ``tally`` and ``alerts``, which are pure. Start reading at ``run``: it asks a
``subject`` and writes a ``log``; ``progress`` and ``prometheus`` show it.
"""
