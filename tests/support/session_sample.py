"""A session made by hand for the tests of what stores and shows one; its figures mean nothing."""

from qualification.core.metrics import METRICS
from qualification.core.protocol import LoadReport
from qualification.core.results import (
    Check,
    Environment,
    Finding,
    Machine,
    Results,
    Session,
    Trial,
    Verdict,
)

HOSTILE = "<script>alert('x')</script> | `rm` **bold** [link](javascript:alert(1))\n# heading"
DEPLOYMENT = "smolvlm-canary-f32@mlx"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def session(name="20260101T000000Z-abc123", started="2026-01-01T00:00:00+00:00", **machine):
    """A session on a made-up Linux machine."""
    facts = {
        "system": "linux",
        "os_version": "1",
        "chip": "Some Processor",
        "product": "",
        "architecture": "x86_64",
        "cpu_cores": 2,
        "gpu_cores": 0,
        "memory_bytes": 24_000_000_000,
        "tier": "linux_cpu",
        "identifier": "m-1",
    }
    return Session(name, started, Machine(**(facts | machine)), Environment("current", "3.11", {}))


def trials(metric, *values, deployment=DEPLOYMENT):
    """Raw trials of one metric."""
    unit = METRICS[metric].unit
    return tuple(
        Trial(deployment, metric, value, unit, number, "throughput")
        for number, value in enumerate(values)
    )


def results(**changes):
    """A whole session with one deployment that said something hostile."""
    facts = {
        "session": session(),
        "verdicts": (
            Verdict(
                DEPLOYMENT,
                "failed",
                "not recommended",
                (Finding("load_s", "pass", "loading took 0.5 s"), Finding("x", "fail", HOSTILE)),
            ),
        ),
        "trials": trials("decode_tps", 94.58, 95.37, 96.26) + trials("load_s", 0.5),
        "checks": (
            Check(DEPLOYMENT, "capability", "test_text", "failed", HOSTILE),
            Check(DEPLOYMENT, "load", "test_loads", "passed"),
        ),
        "load_reports": {
            DEPLOYMENT: LoadReport(0.5, 0.4, 1.0, "cpu", 1000, REVISION, {"mlx": "1"})
        },
    }
    return Results(**(facts | changes))


def recommended(session_results, registry):
    """The recommendations of a session: file name -> text, as Markdown and as HTML."""
    from qualification.documents.context import Context
    from qualification.documents.recommendations import recommendations
    from qualification.documents.render import render
    from qualification.documents.session_view import session_view

    forms = render(recommendations(session_view(session_results, registry, Context())))
    return {name: text for name, text in forms.items() if not name.endswith(".json")}
