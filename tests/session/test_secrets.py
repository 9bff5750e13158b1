"""Secrets stay where they are: no child has one that it does not need, and nothing shows one."""

import base64
import dataclasses
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from qualification.backends import worker_main
from qualification.cli import main
from qualification.core.declarations import Source
from qualification.core.errors import EnvironmentFailed, StoreError
from qualification.core.paths import PACKAGE
from qualification.core.protocol import LoadRequest, to_json
from qualification.documents import session_documents as _report  # noqa: F401 - pytester forgets modules
from qualification.machine.host import LocalHost
from qualification.results.store import Store
from qualification.servers.process import ServerCommand, ServerProcess
from qualification.session.template import Template
from qualification.session.worker import Worker
from qualification.upgrade.bisect.releases import installable
from qualification.upgrade.environments.interpreters import probe
from qualification.upgrade.environments.pip import Pip
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.environments.uv import Uv
from qualification.upgrade.environments.uv_program import main as uv_main
from tests.support import gate_toy
from tests.support.session_sample import results, trials

MARK = "S3cretPlanted"
TOY = PACKAGE.parent / "tests/support/toy_server.py"
PLANTED = {
    "HF_TOKEN": f"hf_{MARK}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{MARK}",
    "OPENAI_API_KEY": f"sk-{MARK}",
    "QUALIFY_API_KEY": f"key-{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"aws/{MARK}",
    "GOOGLE_APPLICATION_CREDENTIALS": f"/home/me/{MARK}.json",
    "GITHUB_TOKEN": f"ghp_{MARK}",
    "QUALIFY_RESULTS": f"postgresql://me:{MARK}@127.0.0.1:1/name",
    "PIP_INDEX_URL": f"https://me:{MARK}@127.0.0.1:1/simple",
    "SSH_AUTH_SOCK": f"/run/{MARK}.sock",
}
INDEX = f"https://me:{MARK}@127.0.0.1:1/another"


@pytest.fixture(autouse=True)
def planted(monkeypatch, tmp_path_factory):
    """Secrets in variables, and in a file of the home folder."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {MARK}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("QUALIFY_SERVER_LOGIN", f"http://me:{MARK}@127.0.0.1:1/v1")
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def leaked(environment):
    """Names of the variables with a planted secret."""
    return {name for name, value in environment.items() if MARK in value}


def leaked_to(pid):
    """The same, of a process that runs."""
    while "PATH" not in (environment := psutil.Process(pid).environ()):
        time.sleep(0.01)  # it is about to begin
    return leaked(environment)


def shown_in(folder, result):
    """Where a secret is output: files of a folder, and what a run printed."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    output = [str(file) for file in files if MARK.encode() in file.read_bytes()]
    return output + [line for line in [*result.outlines, *result.errlines] if MARK in line]


def test_a_worker_has_none():
    """Not even the hub's, while it fetches nothing; what its deployment declares, it has."""
    with Worker(environment={"DECLARED": "1"}) as worker:
        assert leaked_to(worker.pid) == set()
        assert psutil.Process(worker.pid).environ()["DECLARED"] == "1"


def test_the_worker_of_a_users_server_has_its_key_and_login_alone():
    """It is the client of that server."""
    with Worker(uses=("server",)) as worker:
        assert leaked_to(worker.pid) == {"QUALIFY_API_KEY", "QUALIFY_SERVER_LOGIN"}


@pytest.mark.skipif(sys.platform != "linux", reason="no process is forked there")
def test_a_template_has_none_nor_has_what_it_forks():
    """A forked worker's variables go over a socket."""
    template = Template(sys.executable, "fake", {})
    try:
        assert leaked_to(template.pid) == set()
        with Worker(template=template) as worker:
            assert worker.is_forked
            assert leaked_to(worker.pid) == set()
    finally:
        template.close()


def test_a_server_and_its_guards_have_none():
    """The variables that its command declares, it has."""
    argv = (sys.executable, "-S", str(TOY), "--port", "{port}")
    with ServerProcess(ServerCommand("toy", argv, {"DECLARED": "1"})) as server:
        assert [leaked_to(pid) for pid in (server.pid, *server.guards)] == [set(), set(), set()]
        assert psutil.Process(server.pid).environ()["DECLARED"] == "1"


def test_the_hubs_key_is_there_only_while_weights_are_fetched(monkeypatch):
    """It comes with the request; what is loaded later never sees it."""
    keys = []
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(
        worker_main, "resolve", lambda _request: keys.append(os.environ.get("HF_TOKEN"))
    )
    request = to_json(LoadRequest("fake", "hub", "toy", repository="org/gated"))
    worker_main._Service().fetch(request | {"keys": {"HF_TOKEN": "hf_1"}})
    assert keys == ["hf_1"]
    assert "HF_TOKEN" not in os.environ


def test_a_program_that_reads_the_machines_state_has_none():
    """Such as nvidia-smi."""
    assert MARK not in LocalHost().run("env")


@pytest.fixture
def installer(tmp_path):
    """A program that keeps its variables and its command line, and installs nothing."""
    program = tmp_path / "installer"
    program.write_text('#!/bin/sh\nenv > "$0.env"\necho "$@" > "$0.words"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("kind", ["pip", "uv", "index", "make"])
def test_an_installer_has_the_index_and_its_command_line_shows_nothing(installer, kind):
    """An address with a password is in a variable: everybody can read a command line."""
    spec = EnvironmentSpec("toy", "", ("a==1",), index=INDEX)
    if kind == "pip":
        Pip(installer).install(spec, Path("python"), ["a==1"])
    elif kind == "uv":
        Uv(installer, probe(Path(sys.executable))).install(spec, Path("python"), ["a==1"])
    elif kind == "make":
        uv_main(["aloud", str(installer)])
    else:
        with pytest.raises(EnvironmentFailed) as failure:
            installable(installer, "a", index=INDEX)
        assert MARK not in str(failure.value)
    lines = installer.with_suffix(".env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    assert leaked(environment) - {"UV_DEFAULT_INDEX"} == {"PIP_INDEX_URL"}
    assert (INDEX in environment.values()) is (kind != "make")
    assert MARK not in installer.with_suffix(".words").read_text()


@pytest.mark.parametrize(
    "options",
    [{}, {"default_answer": "blue"}, {"on_generate": "segfault"}, {"on_load": "raise"}],
    ids=["passes", "fails", "crashes", "is not loaded"],
)
def test_a_run_shows_none(toy_project, monkeypatch, options):
    """In its output, with every variable of a traceback, its JUnit file, its results and report."""
    result = toy_project.run("-l", "--tb=long", "--junitxml=junit.xml", options=options)
    assert (result.ret == 0) is (not options)
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    report = CliRunner().invoke(main, ["report", "--declarations", str(toy_project.declarations)])
    assert report.exit_code == 0, report.output
    assert MARK not in report.output
    assert (toy_project.path / "reports/results.sqlite").is_file()
    assert shown_in(toy_project.path, result) == []


class _Refusing(BaseHTTPRequestHandler):
    """A server that repeats what it was sent, as careless ones do."""

    def log_message(self, *_words):
        """Say nothing."""

    def do_GET(self):
        """Refuse, with the headers in the reason."""
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        sent = self.headers.get("Authorization")
        content = json.dumps({"error": {"message": f"refused: {sent}"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 (a name of http.server)


@pytest.mark.parametrize("login", [f"me:{MARK}@", ""])
def test_a_server_that_repeats_its_key_shows_it_to_nobody(toy_project, monkeypatch, login):
    """The user and the password of its address neither."""
    monkeypatch.setenv("QUALIFY_API_KEY", f"key-{MARK}")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://{login}127.0.0.1:{server.server_port}/v1"
        result = toy_project.run(f"--server-url={url}", "-l", "--tb=long", "--junitxml=junit.xml")
        server.shutdown()
    assert "asks for a key" in result.stdout.str()
    assert shown_in(toy_project.path, result) == []
    header = base64.b64encode(f"me:{MARK}".encode()).decode()
    assert header not in result.stdout.str()
    assert ("refused: Basic <QUALIFY_SERVER_LOGIN>" in result.stdout.str()) is bool(login)


def test_a_tests_own_variables_are_shown_without_keys(toy_project):
    """With --showlocals pytest prints them, whoever's they are."""
    suite = """
    import os

    def test_a(deployed):
        key, results = os.environ["QUALIFY_API_KEY"], "postgresql://me:S3cretPlanted@host/name"
        print(key)
        assert deployed.ask("Hello") == key
    """
    result = toy_project.run("-l", "--junitxml=junit.xml", suite=suite)
    assert result.ret == 1
    (toy_project.path / "test_suite.py").unlink()
    caches = [file for file in toy_project.path.rglob("*.pyc") if "test_suite" in file.name]
    for file in caches:
        file.unlink()
    lines = [line for line in result.outlines if "key, results =" not in line]
    junit = (toy_project.path / "junit.xml").read_text().replace('me:S3cretPlanted@host/name"', "")
    assert MARK not in "\n".join(lines)
    assert MARK not in junit


@pytest.mark.parametrize("side", ["good", "bad"])
def test_a_gate_shows_none(tmp_path, capfd, side):
    """In its journal, in what its workers printed, and in its report."""
    sides = {"good": gate_toy.GOOD, "bad": gate_toy.BAD}
    a = gate_toy.interpreter(tmp_path / "a", sides["good"])
    b = gate_toy.interpreter(tmp_path / "b", sides[side])
    folder = gate_toy.begin(tmp_path / "gate", gate_toy.plan())
    gate_toy.run(folder, gate_toy.declarations(tmp_path / "declared"), a, b)
    printed = "".join(capfd.readouterr())
    assert MARK not in printed
    assert [file for file in tmp_path.rglob("*.json*") if MARK in file.read_text()] == []


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql//me:{MARK}@host/name",
        f"postgresql:/me:{MARK}@host/name",
        f"me:{MARK}@host/name",
        f"postgresql://me:{MARK}/name",
        f"oracle9://me:{MARK}@host/name",
        f"postgresql://me:{MARK}@host:{'1' * 5000}/name",
        f"sqlite://me:{MARK}@host/name",
        f"sqlite:////proc/nowhere/x.sqlite?password={MARK}",
    ],
)
def test_a_results_database_with_a_typing_error_is_refused_without_its_password(
    tmp_path, monkeypatch, url
):
    """And no folder of that name is made."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["report", "--any-machine", "--results", url])
    assert done.exit_code == 2, done.output
    assert MARK not in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_of_ours_shows_no_argument_of_a_declaration():
    """A declared variable may be a key, an option an address with a password."""
    source = Source("server", "bf16", options={"url": INDEX}, environment={"HF_TOKEN": MARK})
    assert MARK not in repr(source)


def test_a_number_that_no_database_takes_is_one_error_without_its_row(tmp_path):
    """Neither the statement nor what it was to write."""
    store = Store(f"sqlite:///{tmp_path / 'results.sqlite'}")
    for number in (10**5000, 10**30):
        trial = dataclasses.replace(trials("decode_tps", 1.0)[0], repetition=number, suite=MARK)
        with pytest.raises(StoreError) as failure:
            store.keep(results(trials=(trial,)))
        assert MARK not in str(failure.value)
        assert "INSERT" not in str(failure.value)
