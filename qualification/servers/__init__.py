"""How is a server program started, guarded, talked to and put under load?

Imports ``core`` and ``machine``. ``chat`` and ``programs`` are worker-side code too: standard
library and ``core`` only. Start with ``programs`` (what can be started) and ``process`` (how).
"""
