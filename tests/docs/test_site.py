"""The site of docs/: it builds without a network, and every link of it leads somewhere."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.documentation import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    pytest.importorskip("material", reason="pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_the_site_builds_with_strict_links(site):
    """Links, anchors and the navigation are complete; what lies outside of docs/ is in the site."""
    assert (site / "project/reports/example/recommendations.html").is_file()
    assert (site / "project/LICENSE.txt").is_file()
    assert not (site / "hooks.py").exists()


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site):
    """No font, script or picture of another host: the site works without a network."""
    fetched = re.compile(r'(?:<(?:script|img|iframe)[^>]* src|<link[^>]* href)="(?:https?:)?//')
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    assert [page.name for page in pages if fetched.search(page.read_text(encoding="utf-8"))] == []
