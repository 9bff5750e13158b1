"""``python -m tests.house``: the figures of the house, and exit 1 where one is over its limit."""

from __future__ import annotations

import sys

from tests.house.rules import broken_rules, figures

for line in figures():
    print(line)
broken = broken_rules()
for line in broken:
    print(line, file=sys.stderr)
sys.exit(bool(broken))
