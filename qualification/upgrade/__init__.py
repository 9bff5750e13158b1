"""May we move? Two environments compared, and the release that broke one of them.

May import ``session`` and everything under it. Start reading at ``environments`` (an interpreter
with pinned releases), then ``gate`` (baseline against candidate), ``bisect`` (which release broke
it) and ``replay`` (past regressions through the gate); ``suspects`` starts gates for a session.
"""
