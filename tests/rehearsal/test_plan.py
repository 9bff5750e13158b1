"""Which deployments are meant for which machine: the plan of one machine for each tier."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rehearsal.recorded_mac import VARIABLE
from tests.support.forked_pytest import run_forked

PLAN = Path(__file__).with_name("plan.txt")
MACHINES = {
    "mini_m4_16gb": "mini_m4",
    "MacBook Air M3 16": "air_m3",
    "air_m4_32gb": "air_m4",
    "Mac mini M4 Pro 48": "pro_m4",
    "MacBook Pro M4 Max 64": "max_m4",
    "studio_m4_max_128gb": "studio",
    "Mac Studio M3 Ultra 256": "ultra",
    "MacBook Pro M5 24": "m5",
    "linux_2_cores_24gb": "linux_cpu",
    "linux_cuda_busy": "cuda",
    "MacBook Air M2 16": "macbook_air_m2_16gb",
    "pro_m3_max_30_cores_36gb": "macbook_pro_m3_max_36gb",
    "MacBook Pro M3 Max 128": "macbook_pro_m3_max_128gb",
}
"""A recorded machine of each tier, and three whose tier is derived."""


def plan_of(machine: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, dict[str, bool]]:
    """The tier, and whether each deployment is collected, as ``pytest -m here`` says them."""
    patch.setenv(VARIABLE, machine)
    words = ("-m", "here", "--collect-only", "-p", "no:cacheprovider", "-k", "test_loads")
    result = run_forked(folder, *words)
    output = result.stdout.str()
    assert result.ret in (0, 5), output
    tier = re.search(r"^tier (\S+) \(.*: (\d+) of \d+ models", output, re.MULTILINE)
    assert tier, output
    answers = re.findall(r"^  ([\w.-]+@[\w.-]+): (not meant)?", output, re.MULTILINE)
    meant = {deployment: not refused for deployment, refused in answers}
    assert sum(meant.values()) == int(tier[2])
    collected = set(re.findall(r"test_loads\[(.+?)\]", output))
    assert collected == {deployment for deployment in meant if meant[deployment]}
    return tier[1], meant


def table(plans: dict[str, tuple[str, dict[str, bool]]]) -> str:
    """A row for each deployment, a column for each machine; ``x`` where it is meant for it."""
    tiers = [tier for tier, _ in plans.values()]
    lines = [f"# {number}  {machine}: {plans[machine][0]}" for number, machine in enumerate(plans)]
    deployments = next(iter(plans.values()))[1]
    width = max(map(len, deployments)) + 2
    lines.append("#".ljust(width) + " ".join(f"{number:>2}" for number in range(len(tiers))))
    for deployment in sorted(deployments):
        cells = ("x" if meant[deployment] else "." for _, meant in plans.values())
        lines.append(deployment.ljust(width) + " ".join(f"{cell:>2}" for cell in cells))
    return "\n".join(lines) + "\n"


@pytest.mark.slow
def test_the_plan_of_each_tier_is_the_committed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a declaration shows as a change of ``plan.txt``."""
    for name in ("QUALIFY_RESULTS", "QUALIFY_HOME", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_PLUGINS", "tests.rehearsal.recorded_mac")
    plans = {machine: plan_of(machine, tmp_path, monkeypatch) for machine in MACHINES}
    for machine, tier in MACHINES.items():
        assert plans[machine][0] == tier
    (tmp_path / "plan.txt").write_text(table(plans))
    assert table(plans) == PLAN.read_text(), f"if that is meant: cp {tmp_path}/plan.txt {PLAN}"
