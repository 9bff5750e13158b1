"""How hypothesis drives inputs here: a few examples, the same in every run and on every machine.

Each costs requests, a real model's seconds each; a failing one is shown as it is, not shrunk.
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
