"""Whose memory it is, seen from outside: what the process tree of a server holds.

What cannot be seen is said (``blind``) and never guessed: a server on another machine, a process of
another user, a port that a forwarder holds for the real server.
"""

from __future__ import annotations

from qualification.machine.process_tree import Tree, machine_used
from qualification.watch.records import Look


def look(tree: Tree | None, memory_bytes: float) -> Look:
    """Memory now, of the machine and of a tree where one is seen."""
    used = machine_used(memory_bytes)
    if tree is None:
        return Look(used)
    own, resident, identity = tree.held()
    return Look(used, own, resident, identity)
