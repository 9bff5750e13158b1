"""What does a description of a large diagram get right, and what does it make up?

``drawing.py`` draws the diagram, ``text.py`` finds names in an answer and ``scoring.py``, where to
start reading, scores it. May import what ``tasks`` may.
"""
