"""Building environments: shared, locked, repaired; on wheels of a few hundred bytes."""

import contextlib
import functools
import http.server
import json
import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from qualification.cli.environments import environments
from qualification.core.errors import EnvironmentFailed
from qualification.upgrade.environments import cache
from qualification.upgrade.environments import spec as declared
from qualification.upgrade.environments.cache import built, find, ready, remove
from qualification.upgrade.environments.interpreters import probe
from qualification.upgrade.environments.spec import (
    environment_spec,
)
from tests.support.tiny_environments import SPEC

_FORK = multiprocessing.get_context("fork")


def test_an_existing_interpreter_is_used_unchanged(root):
    """Its releases are read from it; nothing is made."""
    build = ready(environment_spec("here"), root=root / "nothing")
    assert build.versions["pytest"] == pytest.__version__
    assert not build.fresh
    assert build.key == ready(environment_spec("here")).key
    assert not (root / "nothing").exists()


@pytest.mark.parametrize("text", ["/nowhere/python", "/bin/true", "/dev/null"])
def test_a_path_that_is_no_interpreter_is_reported_in_one_sentence(text):
    """With its path, and what to do."""
    with pytest.raises(EnvironmentFailed, match=f"^{text}: .*name a Python interpreter$"):
        ready(environment_spec(text))


def test_a_python_that_is_not_installed_is_reported_in_one_sentence(root):
    """It says which is to be installed."""
    with pytest.raises(EnvironmentFailed, match=r"no Python 3\.4 on the PATH"):
        ready(replace(SPEC, python="3.4"), root=root)


@pytest.mark.slow
def test_a_build_holds_what_it_resolved_to_and_is_found_again(root, monkeypatch):
    """The second time nothing is asked of an installer."""
    build = ready(SPEC, root=root)
    assert build.fresh
    assert build.versions == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert probe(build.python).versions == build.versions
    monkeypatch.setattr(cache, "_installer", None)
    second = ready(SPEC, root=root, say=pytest.fail)
    assert second == replace(build, fresh=False) == find(SPEC, root=root)
    assert second in built(root)


@pytest.mark.slow
def test_requests_that_resolve_to_the_same_releases_share_a_build(root):
    """The second request gets the same folder, under its own name."""
    build = ready(SPEC, root=root)
    more = replace(SPEC, name="other", pins=("alpha==1.0", "beta==1.0"))
    assert find(more, root=root) is None
    second = ready(more, root=root)
    assert (second.key, second.python, second.fresh) == (build.key, build.python, False)
    assert second.spec.name == "other"


@pytest.mark.slow
def test_other_releases_are_another_build(root):
    """Both stay; removing one leaves the other."""
    build = ready(SPEC, root=root)
    second = ready(replace(SPEC, pins=("alpha==2.0",)), root=root)
    assert build.key != second.key
    remove(second)
    assert not second.python.exists()
    assert find(second.spec, root=root) is None
    assert find(SPEC, root=root) is not None
    with pytest.raises(EnvironmentFailed, match="not in the cache"):
        remove(second)


@pytest.mark.slow
def test_a_build_that_was_changed_is_built_again(root):
    """Another release in it than was installed would be measured under the wrong name."""
    before = ready(SPEC, root=root)
    (info,) = before.python.parent.parent.glob("lib/*/site-packages/beta-1.0.dist-info")
    info.rename(info.with_name("beta-3.0.dist-info"))
    metadata = info.with_name("beta-3.0.dist-info") / "METADATA"
    text = metadata.read_text().replace("1.0", "3.0")
    metadata.unlink()  # a link to uv's cache, which stays whole
    metadata.write_text(text)
    sentences = []
    after = ready(SPEC, root=root, say=sentences.append)
    assert after.fresh
    assert after.versions == before.versions
    assert "changed" in sentences[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pins", "sentence"),
    [
        (("alpha==9.0",), "tiny: no releases fit together: Because there is no version of alpha"),
        (("alpha==1.0", "delta==1.0"), "(?=.*delta.* depends on beta<1)(?=.*alpha==1.0)"),
    ],
)
def test_pins_that_cannot_be_resolved_are_reported_in_one_sentence(root, pins, sentence):
    """It has uv's own reason, and nothing is left."""
    ready(SPEC, root=root)
    before = sorted(root.glob("*"))
    with pytest.raises(EnvironmentFailed, match=sentence) as caught:
        ready(replace(SPEC, pins=pins), root=root)
    assert "\n" not in str(caught.value)
    assert sorted(root.glob("*")) == before


@pytest.mark.slow
def test_a_password_of_an_index_is_not_stored(root, monkeypatch, tmp_path):
    """Not in a file of the cache, not in a folder's name."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(tmp_path) as address:
        spec = replace(SPEC, index=address.replace("//", "//me:secret@"))
        build = ready(spec, root=root)
    files = [*root.glob(".resolved-*"), *root.glob("*/complete.json")]
    assert files
    assert not [file for file in files if "secret" in file.read_text()]
    assert build.key != ready(SPEC, root=root).key


def test_the_command_lists_what_is_declared_before_anything_is_built(monkeypatch, tmp_path):
    """With what it pins; and there is nothing to remove."""
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path))
    listed = CliRunner().invoke(environments, ["list"])
    assert listed.exit_code == 0
    assert "seed-2025-12" in listed.output
    assert "mlx-vlm 0.3.9" in " ".join(listed.output.split())
    removed = CliRunner().invoke(environments, ["remove", "current"])
    assert removed.exit_code == 2
    assert "current is to be removed; the cache has: nothing" in removed.output


@pytest.mark.slow
def test_the_command_builds_lists_and_removes(root, monkeypatch):
    """A candidate is built like any other, and removed by its name."""
    monkeypatch.setattr(declared, "environment_spec", lambda name, own: SPEC)
    monkeypatch.setattr(declared, "environment_names", lambda own: ("tiny",))
    call = CliRunner().invoke
    process = call(environments, ["build", "tiny", "--candidate", "alpha==2.0"])
    python = Path(process.stdout.strip())
    assert probe(python).versions["alpha"] == "2.0"
    key = python.parent.parent.name
    assert key in call(environments, ["list"]).stdout
    assert call(environments, ["remove", "tiny + alpha==2.0"]).exit_code == 0
    assert not python.exists()
    assert key not in call(environments, ["list"]).stdout


def _build(root: Path, answers, start=None) -> None:
    """In another process: get the environment, and report whether this process built it."""
    sentences: list[str] = []
    if start is not None:
        start.wait(60)
    answers.put((ready(SPEC, root=root, say=sentences.append).fresh, sentences))


@pytest.mark.slow
def test_one_of_two_builders_at_once_builds_and_both_get_the_build(root):
    """Two real processes on an empty cache."""
    remove(ready(SPEC, root=root))
    answers, start = _FORK.Queue(), _FORK.Barrier(2)
    builders = [_FORK.Process(target=_build, args=(root, answers, start)) for _ in range(2)]
    for builder in builders:
        builder.start()
    reports = [answers.get(timeout=60) for _ in builders]
    for builder in builders:
        builder.join(10)
    assert sorted(fresh for fresh, _ in reports) == [False, True]
    assert any("waiting for process" in sentence for _, lines in reports for sentence in lines)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def served(folder, handler=_Quiet):
    """The address under which a folder is served on this machine."""
    make = functools.partial(handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        _Slow.may.set()
        server.shutdown()
        server.server_close()


class _Slow(_Quiet):
    """Serves the wheels; the one that is installed (and not resolved) only when it may."""

    fetched: "list[str]" = []  # noqa: RUF012 - made anew by the test
    requested = threading.Event()
    may = threading.Event()

    def do_GET(self):
        if self.path.endswith(".whl"):
            self.fetched.append(self.path)
            if self.fetched.count(self.path) == 2:
                self.requested.set()
                self.may.wait(60)
        super().do_GET()


@pytest.mark.slow
def test_a_build_whose_builder_was_killed_is_repaired(root, wheels, monkeypatch):
    """The next one waits until a uv that is left has ended, then builds again."""
    remove(ready(SPEC, root=root))
    _Slow.fetched = []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sentences: list[str] = []

    def say(sentence):
        sentences.append(sentence)
        if sentence.startswith("waiting"):
            _Slow.may.set()

    with served(wheels, _Slow) as address:
        monkeypatch.setenv("PIP_FIND_LINKS", address)
        builder = _FORK.Process(target=_build, args=(root, _FORK.Queue()))
        builder.start()
        assert _Slow.requested.wait(60), _Slow.fetched
        builder.kill()
        builder.join(10)
        (half,) = (file for file in root.glob("[!.]*") if not (file / "complete.json").exists())
        assert (half / "bin/python").exists()
        build = ready(SPEC, root=root, say=say)
    assert build.fresh
    assert build.versions == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    # A uv that prints into the closed pipe of the one that was killed has ended already.
    waited = sentences[0].startswith("waiting for the child of a process that has ended")
    assert "half built; it is removed and built again" in sentences[1 if waited else 0]
    assert json.loads((half / "complete.json").read_text())["versions"] == build.versions
