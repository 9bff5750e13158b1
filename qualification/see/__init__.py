"""Does a deployment see? At most 60 questions with known answers, and a verdict in one sentence.

Start with ``run``: it asks one series of drawn images after the other (``series``) until
``conclusions`` knows enough. May import ``session``, ``tasks`` and what is below them.
"""
