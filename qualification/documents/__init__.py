"""What do we say? Stored sessions as a tree of sections, then as Markdown, HTML, JSON and text.

Imports every room below: ``core`` to ``results``. Start with ``model.py``, the tree, and
``recommendations.py``, which grows one; ``render.py`` writes its forms from ``templates/``.
"""
