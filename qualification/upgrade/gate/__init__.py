"""May we move from a baseline environment to a candidate? Behaviour, then interleaved timing.

It may import any room below ``upgrade``, and ``upgrade.environments``. Start with ``start`` (opens
a gate) and ``run`` (drives it). ``records`` are the frozen types and ``plan`` makes the plan.
``observe`` observes one deployment in one fresh process and ``timed`` times it, on a ``side``;
``reference`` has the margins that canaries should have; ``journal`` stores each observation at
once. ``compare`` and ``decide`` are pure: observations to verdicts. ``report`` and ``progress``
show the result in the terms of ``wording``.
"""
