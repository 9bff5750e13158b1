"""What happens in one run? A worker process, a deployment loaded in it, a journal of observations.

May import ``core``, ``machine``, ``models``, ``judging``, ``servers`` and ``tasks``; ``backends``
run in the worker and are never imported. Start reading in ``session.py``, then ``deployed.py``.
"""
