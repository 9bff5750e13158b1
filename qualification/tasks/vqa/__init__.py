"""How well are questions about images answered, by the measure of VQA 2.0?

``dataset.py`` reads the official files and ``scoring.py``, where to start reading, has the official
accuracy. May import what ``tasks`` may.
"""
