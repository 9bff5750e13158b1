"""What each run of pytest with the plugin imports and reads: done once, see ``forked_pytest``."""

import gc
import importlib

from qualification.models.loading import load_registry

for name in (
    "anyio._backends._asyncio",
    "hypothesis.internal.observability",
    "jinja2",
    "psutil",
    "pytest",
    "qualification.pytest_plugin.collection",
    "qualification.pytest_plugin.ending",
    "qualification.pytest_plugin.running",
    "qualification.results.conclude",
    "qualification.session.session",
    "sqlalchemy.dialects.sqlite",
):
    importlib.import_module(name)
load_registry()
gc.freeze()  # pytest collects garbage at its end: not what it did not make
