"""What did a run leave? The database, its tables and documents, and the last lines on the terminal.

Imports every room below: ``core`` to ``session``. Start with ``conclude.py``, which ends a run;
``report.py`` renders the documents from the templates in ``templates/``.
"""
