"""Where uv comes from, and what it says while it works."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qualification.core.errors import EnvironmentFailed
from qualification.core.paths import PACKAGE
from qualification.upgrade.environments import uv_program
from tests.support.tiny_wheels import only, write_wheel


@pytest.fixture(autouse=True)
def no_uv(tmp_path, monkeypatch):
    """A machine without uv, and with an empty cache."""
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(uv_program.sysconfig, "get_path", lambda _name: str(tmp_path / "beside"))
    uv_program.find_uv.cache_clear()
    yield
    uv_program.find_uv.cache_clear()


def program(folder, version):
    """A uv that knows its version and nothing else."""
    folder.mkdir(parents=True)
    file = folder / "uv"
    file.write_text(f"#!/bin/sh\necho uv {version}\n")
    file.chmod(0o755)
    return file


def test_uv_is_taken_from_the_path_then_from_beside_this_python(tmp_path):
    """One that is too old, or does not run, is passed over."""
    beside = program(tmp_path / "beside", "0.13.9")
    assert uv_program.uv_program() == beside
    uv_program.find_uv.cache_clear()
    on_path = program(tmp_path / "bin", "0.2.1")
    assert uv_program.uv_program() == beside
    on_path.write_text("#!/bin/sh\necho uv 1.0.0\n")
    uv_program.find_uv.cache_clear()
    assert uv_program.uv_program() == on_path


@pytest.mark.slow
def test_a_uv_that_is_missing_is_fetched_by_pip_once(tmp_path, monkeypatch):
    """The pinned release, into the cache; its program is all that stays."""
    wheel = write_wheel(tmp_path / "wheels", "uv", uv_program._pinned())
    add_script(wheel, "#!/bin/sh\necho uv 0.13.9\n")
    for name, value in only(tmp_path / "wheels").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setattr(uv_program.shutil, "which", lambda _name: None)
    sentences = []
    fetched = uv_program.uv_program(sentences.append)
    assert fetched.is_relative_to(tmp_path / "cache")
    assert sentences == [f"fetching uv {uv_program._pinned()}"]
    assert list(fetched.parent.iterdir()) == [fetched]
    assert uv_program.uv_program(pytest.fail) == fetched


def add_script(wheel, text):
    """Put a program into a wheel, as uv's has one."""
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo(f"uv-{uv_program._pinned()}.data/scripts/uv")
        info.external_attr = 0o100755 << 16
        archive.writestr(info, text)


def test_a_uv_that_cannot_be_fetched_is_one_sentence_with_the_way_out(monkeypatch):
    """Here Python makes no venv."""
    monkeypatch.setattr(uv_program.sys, "executable", "/bin/false")
    with pytest.raises(EnvironmentFailed, match=r"cannot be fetched.*QUALIFY_INSTALLER=pip"):
        uv_program.uv_program(lambda _sentence: None)


def test_a_long_step_says_that_it_runs(monkeypatch, capsys):
    """And ends with the status of its command."""
    monkeypatch.setattr(uv_program, "_QUIET_S", 0.01)
    command = [sys.executable, "-c", "import time; time.sleep(0.2); raise SystemExit(3)"]
    assert uv_program.main(["aloud", *command]) == 3
    assert capsys.readouterr().err.startswith(f"… {Path(sys.executable).name} -c import time")


def test_what_make_starts_needs_the_standard_library_only():
    """It runs before anything is installed."""
    module = "qualification.upgrade.environments.uv_program"
    command = [sys.executable, "-S", "-c", f"import {module}"]
    subprocess.run(command, cwd=PACKAGE.parent, check=True)
