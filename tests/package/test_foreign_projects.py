"""A project that only has this one installed: its own tests are collected and pass as without."""

import re
import subprocess
import sys
import tarfile

import pytest

from tests.package.places import Place

pytestmark = pytest.mark.long

PROJECTS = {
    # Its test server has a fixed port: not for several processes. Its tests of time-outs pass or
    # fail by the speed of the machine, with and without the plugin.
    "httpx==0.28.1": (
        ["httpx[brotli,http2,socks,zstd]", "chardet", "cryptography", "trio", "trustme", "uvicorn"],
        ["tests", "--ignore=tests/test_timeouts.py"],
    ),
    "pytest-django==4.11.1": (
        ["django", "pytest-django"],
        ["tests/test_database.py", "tests/test_fixtures.py", "tests/test_unittest.py", "-n", "2"],
    ),
}
"""What its tests need, and how they are run."""


def outcomes(place, folder, *options):
    """The outcome of every test of a project: word and name."""
    done = subprocess.run(
        [place.bin / "pytest", "-rA", "--tb=no", "-q", *options],
        cwd=folder,
        env={"PATH": f"{place.bin}:/usr/bin:/bin", "HOME": str(place.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    lines = done.stdout.splitlines()
    names = [line.partition(" - ")[0] for line in lines if re.match(r"[A-Z]{5,} \S", line)]
    assert len(names) > 20, done.stdout + done.stderr
    return sorted(names)


@pytest.mark.parametrize("project", PROJECTS)
def test_a_projects_own_tests_pass_as_without_the_plugin(tmp_path, wheel, project):
    """Same tests, same outcomes; one of theirs may fail by chance, as of a live server does."""
    requirements, options = PROJECTS[project]
    place = Place(tmp_path / "place")
    place.install(f"qualification @ {wheel.as_uri()}", project, *requirements)
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    subprocess.run([*download, "--no-binary", ":all:", "-d", tmp_path, project], check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path / "sources", filter="data")
    (folder,) = (tmp_path / "sources").iterdir()
    for _ in range(3):
        without = outcomes(place, folder, *options, "-p", "no:qualification")
        if (observed := outcomes(place, folder, *options)) == without:
            break
    assert observed == without
    assert not (folder / "reports").exists()
