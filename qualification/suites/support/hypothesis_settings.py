"""Settings of hypothesis: a few examples, the same in every run and on every machine.

Each example costs requests of seconds on a real model, so a failing example is not shrunk.
"""

from hypothesis import HealthCheck, Phase, settings

FEW = settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
