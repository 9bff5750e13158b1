"""A worker's every end is told apart, and none leaves a process, a folder or a doubt."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from qualification.core.errors import (
    BackendFailed,
    BackendUnavailable,
    InvalidOutput,
    WorkerCrashed,
    WorkerError,
    WorkerOutOfMemory,
    WorkerTimedOut,
)
from qualification.core.protocol import GenerateRequest, LoadRequest, Message, Part
from qualification.session.template import Templates
from qualification.session.worker import Worker

HELLO = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=4)


def fake(**options):
    """A request to load the scripted backend."""
    return LoadRequest("fake", "canary", "none", options=options)


def processes_of(scratch):
    """Processes whose temporary folder is ``scratch``."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(scratch):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


@pytest.fixture(scope="module")
def templates():
    """Templates of this module's tests, which leave nothing behind."""
    templates = Templates()
    yield templates
    scratch = templates.of(sys.executable, "fake", {}).scratch
    templates.close()
    assert not processes_of(scratch)
    assert not scratch.exists()


@pytest.fixture(params=["fresh", "forked"])
def worker(request, templates):
    """A worker that must have left nothing behind when the test is over."""
    template = None
    if request.param == "forked":
        if sys.platform != "linux":
            pytest.skip("a process is forked on Linux only")
        template = templates.of(sys.executable, "fake", {})
    with Worker(memory_limit=400e6, template=template) as started:
        assert started.is_forked == (template is not None)
        yield started
    assert not processes_of(started.scratch)
    assert not started.scratch.exists()


def test_a_forked_worker_has_a_group_and_a_log_of_its_own(templates):
    """Two of one template: own processes, own folders, the log of the imports first."""
    template = templates.of(sys.executable, "fake", {})
    with Worker(template=template) as elder, Worker(template=template) as younger:
        assert os.getpgid(elder.pid) == elder.pid != younger.pid
        assert elder.log().startswith("libraries imported")
        younger.load(fake(default_answer="blue"), deadline_s=30)
        elder.load(fake(default_answer="red"), deadline_s=30)
        assert younger.generate(HELLO, deadline_s=30).text == "blue"
        elder.close()
        assert younger.alive
        assert not elder.alive


def test_threads_share_a_template(templates):
    """As a gate's do: while one waits for the end of its process another one starts its own."""

    def ask(number):
        template = templates.of(sys.executable, "fake", {})
        with Worker(template=template) as worker:
            assert worker.is_forked
            worker.load(fake(default_answer=str(number)), deadline_s=30)
            return worker.generate(HELLO, deadline_s=30).text

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(12))) == [str(number) for number in range(12)]


def test_a_worker_starts_afresh_where_its_template_has_ended():
    """A template that was killed costs no deployment; the next one is new."""
    templates = Templates()
    template = templates.of(sys.executable, "fake", {})
    os.kill(template.pid, signal.SIGKILL)
    with Worker(template=template) as worker:
        assert not worker.is_forked
        worker.load(fake(default_answer="blue"), deadline_s=30)
    assert templates.of(sys.executable, "fake", {}) is not template
    templates.close()


def test_a_template_that_cannot_fork_is_asked_once(monkeypatch):
    """Its workers are started as without one; another template would not fork either."""
    templates = Templates()
    template = templates.of(sys.executable, "fake", {})
    monkeypatch.setattr(type(template), "cannot_fork", property(lambda self: True))
    assert templates.of(sys.executable, "fake", {}) is None
    templates.close()


def test_loads_and_answers(worker):
    """The plain case: load, ask, read the peak."""
    worker.load(fake(default_answer="blue"), deadline_s=30)
    generation = worker.generate(HELLO, deadline_s=30)
    assert generation.text == "blue"
    assert len(generation.token_times_s) == 4
    assert generation.ttft_s < generation.e2e_s
    assert worker.memory().peak_memory_bytes > 1_000_000


@pytest.mark.parametrize(
    ("declared", "cache"),
    [
        ({}, "/users/hub"),
        ({"HF_HOME": "/declared"}, "/declared/hub"),
        ({"TRANSFORMERS_CACHE": "/old"}, "/old"),
    ],
)
def test_a_workers_caches_are_one_folder(monkeypatch, declared, cache):
    """Also where a declaration moves the hub's: the library reads both variables."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", "/users")
    with Worker(environment=declared) as started:
        started.memory()  # until it answers, the kernel may show an empty environment
        environment = psutil.Process(started.pid).environ()
    assert environment["TRANSFORMERS_CACHE"] == cache
    assert environment["HF_HOME"] == declared.get("HF_HOME", "/users")


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("segfault", WorkerCrashed, "SIGSEGV"),
        ("exit", WorkerCrashed, "exit code 7"),
        ("garbage", InvalidOutput, "not JSON"),
        ("eat_memory", WorkerOutOfMemory, "more than its limit of 400 MB"),
        ("refuse_memory", WorkerOutOfMemory, "cannot allocate 80 GB"),
        ("raise", BackendFailed, "the library refused"),
        ("missing", BackendFailed, "fake_library"),
    ],
)
def test_a_fault_while_generating_has_its_own_failure(worker, fault, error, says):
    """Each way to fail is one exception with one sentence."""
    worker.load(fake(on_generate=fault), deadline_s=30)
    with pytest.raises(error, match=says):
        worker.generate(HELLO, deadline_s=30)


def test_a_hanging_worker_is_ended_with_its_children(worker):
    """The deadline ends the whole tree, a child in a session of its own included."""
    worker.load(fake(on_generate="hang"), deadline_s=30)
    started = time.monotonic()
    with pytest.raises(WorkerTimedOut, match="deadline of 1 s"):
        worker.generate(HELLO, deadline_s=1)
    assert time.monotonic() - started < 15
    assert not processes_of(worker.scratch)


def test_a_kill_from_outside_is_a_crash_and_not_out_of_memory(worker):
    """SIGKILL means out of memory only where the kernel says so."""
    worker.load(fake(on_generate="killed"), deadline_s=30)
    with pytest.raises(WorkerCrashed) as caught:
        worker.generate(HELLO, deadline_s=30)
    assert caught.value.signal == signal.SIGKILL


def test_a_kill_that_the_kernel_counts_is_out_of_memory(worker, monkeypatch):
    """The kernel's own count of kills for memory decides (its counter cannot be provoked here)."""
    worker.load(fake(on_generate="killed"), deadline_s=30)
    monkeypatch.setattr("qualification.session.worker._oom_kills", lambda: 10**9)
    with pytest.raises(WorkerOutOfMemory, match="kernel"):
        worker.generate(HELLO, deadline_s=30)


def test_a_backend_that_does_not_import_is_unavailable(worker):
    """A missing library is told from a library that fails."""
    with pytest.raises(BackendUnavailable, match="fake_library"):
        worker.load(fake(on_load="missing"), deadline_s=30)


def test_a_library_that_prints_does_not_disturb_the_answers(worker):
    """Whatever is printed, by Python or by C, goes to the log."""
    noise = '{"id": 2, "ok": {}}'
    worker.load(fake(prints=noise, warns="a warning"), deadline_s=30)
    assert worker.generate(HELLO, deadline_s=30).text == "red"
    assert worker.log().count(noise) == 2
    assert "a warning" in worker.log()


def test_the_worker_can_be_asked_again_after_an_exception(worker):
    """A library that raised has not ended the worker."""
    worker.load(fake(second_image="axis remapping"), deadline_s=30)
    image = GenerateRequest((Message("user", (Part("image", "/none.png"),)),), max_tokens=2)
    worker.generate(image, deadline_s=30)
    with pytest.raises(BackendFailed, match="axis remapping"):
        worker.generate(image, deadline_s=30)
    assert worker.generate(HELLO, deadline_s=30).text == "red"


def test_asking_an_ended_worker_is_refused(worker):
    """After a crash the next request says so at once."""
    worker.load(fake(on_generate="exit"), deadline_s=30)
    with pytest.raises(WorkerCrashed):
        worker.generate(HELLO, deadline_s=30)
    with pytest.raises(WorkerCrashed, match="ended already"):
        worker.generate(HELLO, deadline_s=30)


def test_an_interpreter_that_does_not_exist_is_one_error(monkeypatch, tmp_path):
    """A wrong environment is said, and its folder is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(WorkerError, match="cannot be started"):
        Worker(python="/nonexistent/python")
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_killed_leaves_nothing():
    """kill -9 of the parent: the worker ends at once and removes its folder."""
    script = (
        "import sys, time\n"
        "from qualification.session.worker import Worker\n"
        "from qualification.core.protocol import LoadRequest\n"
        "worker = Worker()\n"
        "worker.load(LoadRequest('fake', 'canary', 'none'), deadline_s=30)\n"
        "print(worker.pid, worker.scratch, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid, scratch = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while (psutil.pid_exists(int(pid)) or Path(scratch).exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(pid))
    assert not Path(scratch).exists()


def test_the_parent_imports_no_model_library():
    """The whole harness, the command line included, is free of torch, mlx and llama_cpp."""
    script = (
        "import sys\n"
        "import qualification.cli, qualification.cli.doctor_report, qualification.pytest_plugin\n"
        "import qualification.session.session\n"
        "import qualification.documents.recommendations, qualification.results.conclude\n"
        "heavy = {'torch', 'mlx', 'mlx_vlm', 'llama_cpp', 'transformers', 'torchvision'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_worker_runs_without_the_project_installed(tmp_path):
    """Under an interpreter that has nothing of ours, found by a bare virtual environment."""
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    with Worker(python=str(tmp_path / "bare/bin/python")) as bare:
        bare.load(fake(), deadline_s=30)
        assert bare.generate(HELLO, deadline_s=30).text == "red"


def test_a_parent_that_dies_with_an_answer_unread_leaves_nothing(worker):
    """The channel is then reset and not ended: the worker goes all the same."""
    worker.load(fake(), deadline_s=30)
    worker._send("memory", {})
    time.sleep(0.5)  # the answer lies in the channel now
    worker._channel.close()
    assert worker._process.wait(timeout=5) is not None
    assert processes_of(worker.scratch) == []
