"""Does a deployment do what it must: load, answer, remember, repeat, stay in its memory?

The shipped tests, ordinary pytest tests of the ``deployed`` fixture. May import every room but
``cli``, ``pytest_plugin`` and ``backends``. Start reading in ``test_quality.py``, then
``conftest.py`` with the answers that several suites share, and ``support`` for what is no test.
"""
