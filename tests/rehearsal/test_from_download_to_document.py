"""``pytest -m air_m4`` in an empty project with an empty cache, and ``qualify report``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rehearsal.project import TIER, Rehearsal, declared, rehearsal
from tests.support.hub_stand_in import commit_of

CHOSEN = ("qwen2.5-vl-7b-4bit@mlx", "smolvlm-500m-Q8_0@llamacpp")
TESTS = "test_loads or test_peak or (test_speed and not repeats)"
REFUSED = "these are not the weights that are declared, so the record is rejected"


@dataclass(frozen=True)
class Stay:
    """A first and a second run, and the documents of the first."""

    exit_code: int
    output: str
    markdown: str
    html: str
    records: dict[str, dict]
    verdicts: dict[str, dict]
    sent: dict[str, int]
    second_requests: int
    second_exit_code: int
    estimated_s: float
    took_s: float


def stay(place: Rehearsal, *words: str, again: tuple[str, ...] = ()) -> Stay:
    """Run, report, and run once more."""
    command = ("pytest", "-m", TIER, "--download", *words)
    exit_code, output = place.run(*command)
    status, report = place.run("qualification", "report")
    assert status == 0, report
    folder = place.project / "reports/latest"
    verdicts = {name: json.loads(text) for name, text in _latest(place, "verdicts")}
    records = {name: json.loads(text) for name, text in _latest(place, "load_reports")}
    requests, sent = place.hub.requests.total(), dict(place.hub.sent)
    second, text = place.run(*command, *again)
    (estimate,) = re.findall(r"^qualification: .* tests, about (.+)$", text, re.MULTILINE)
    (took,) = re.findall(r"^=+ .* in ([\d.]+)s.* =+$", text, re.MULTILINE)
    return Stay(
        exit_code,
        output,
        (folder / "recommendations.md").read_text(),
        (folder / "recommendations.html").read_text(),
        records,
        verdicts,
        sent,
        place.hub.requests.total() - requests,
        second,
        seconds_of(estimate),
        float(took),
    )


def seconds_of(text: str) -> float:
    """``1 min 12 s`` in seconds."""
    units = {"h": 3600.0, "min": 60.0, "s": 1.0}
    return sum(float(count) * units[unit] for count, unit in re.findall(r"([\d.]+) (\w+)", text))


def _latest(place: Rehearsal, table: str) -> list[tuple]:
    return place.query(f"select deployment, record from {table}")


@pytest.mark.slow
def test_two_engines_from_download_to_document(tmp_path: Path) -> None:
    """Of two deployments the tests that have figures; then the documents, and a second run."""
    words = [word for name in CHOSEN for word in ("--deployment", name)]
    with rehearsal(tmp_path) as place:
        chosen = stay(place, *words, "-k", TESTS)
        assert not place.trap.requests  # no other host was asked for anything
        by_size = {path: (tmp_path / "hub" / path).stat().st_size for path in chosen.sent}
    assert "Traceback" not in chosen.output
    assert_documents_name_what_ran(chosen)
    assert_commits_are_kept(chosen)
    assert_speed_is_refused(chosen)
    assert chosen.sent == by_size  # each file once
    assert chosen.second_requests == 0
    assert chosen.second_exit_code == chosen.exit_code
    assert 0.5 < chosen.estimated_s / chosen.took_s < 2.0


def assert_documents_name_what_ran(chosen: Stay) -> None:
    """Chip, tier and each deployment, in both forms."""
    assert set(chosen.verdicts) == set(CHOSEN)
    for text in (chosen.markdown, chosen.html):
        for word in ("MacBook Air", "Apple M4", TIER, *CHOSEN):
            assert word in text


def assert_commits_are_kept(chosen: Stay) -> None:
    """The commit that ``main`` was at that moment, in 40 hexadecimal digits."""
    by_name = {deployment.identifier: deployment.source for deployment in declared()}
    for name in CHOSEN:
        commit = commit_of(by_name[name].repository)
        assert by_name[name].revision == "main"
        assert chosen.records[name]["revision"] == commit
        assert commit in chosen.markdown
        assert commit in chosen.html


def assert_speed_is_refused(chosen: Stay) -> None:
    """A canary under the name of a 7B decodes faster than an Air can read 7B."""
    assert chosen.exit_code == pytest.ExitCode.TESTS_FAILED
    for name in CHOSEN:
        findings = chosen.verdicts[name]["findings"]
        (speed,) = (finding for finding in findings if finding["metric"] == "decode_tps")
        assert speed["status"] == "fail"
        assert REFUSED in speed["sentence"]
        assert not re.search("[0-9] tok/s", json.dumps(findings))
    assert chosen.markdown.count(REFUSED) >= len(CHOSEN)
    for text in (chosen.markdown, chosen.output):
        own = re.sub(r"(?m)^(- \*\*claimed\*\*|claimed:|.* \| “).*$", "", text)  # not measured
        rows = [line for line in own.splitlines() if any(name in line for name in CHOSEN)]
        assert rows
        assert not [row for row in rows if re.search("[0-9] tok/s", row)]


@pytest.mark.long
def test_every_deployment_of_the_tier_from_download_to_document(tmp_path: Path) -> None:
    """All that is declared for the tier, with every test of the suites."""
    with rehearsal(tmp_path) as place:
        whole = stay(place, again=("-k", "test_loads"))
        assert set(whole.verdicts) == {deployment.identifier for deployment in declared()}
        assert whole.second_requests == 0
        assert not place.trap.requests
        assert "Traceback" not in whole.output
        assert "INTERNALERROR" not in whole.output
        # A canary may answer wrongly here; a library or its caller that fails is another matter.
        details = place.query(
            "select deployment, test, detail from checks where outcome in ('failed', 'error')"
        )
        assert not [row for row in details if "BackendFailed" in row[2]]
        for deployment in declared():
            source = deployment.source
            named = re.fullmatch("[0-9a-f]{40}", source.revision)
            commit = source.revision if named else commit_of(source.repository)
            assert whole.records[deployment.identifier]["revision"] == commit
            assert commit in whole.markdown
