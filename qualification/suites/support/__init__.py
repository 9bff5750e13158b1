"""What do several suites need that is neither a test nor a fixture?

Answers and the types of the fixtures that give them (``answers.py``, where to start reading), raw
HTTP, requests that must be refused, settings of hypothesis. May import what ``suites`` may.
"""
