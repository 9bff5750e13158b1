"""Which findings of a verdict are about a metric. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qualification.core.metrics import METRICS
from qualification.core.results import Finding
from qualification.documents.explain.definitions import definition


def mentions(findings: Sequence[Finding], metric: str) -> tuple[Finding, ...]:
    """Those of the metric, and those whose sentence has its name, its label or its test."""
    words = [metric, metric.replace("_", " ")]
    if metric in METRICS:
        words.append(METRICS[metric].label)
    if meaning := definition(metric):
        words.append(meaning.recorder.test)
    pattern = "|".join(re.escape(word) for word in dict.fromkeys(words) if word)
    named = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)
    return tuple(
        finding
        for finding in findings
        if finding.metric == metric or named.search(finding.sentence)
    )
