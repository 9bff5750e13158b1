"""What does every room share? Types, units, errors, the backends, the metrics and small helpers.

Imports the standard library only, because workers read it under the interpreter of another
environment. Start with declarations.py, protocol.py and results.py.
"""
