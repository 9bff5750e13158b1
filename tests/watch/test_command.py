"""``qualify watch`` as a process: its screen, its signals, its log, its metrics."""

import re
import signal
import time
import urllib.request

import psutil
import pytest
from click.testing import CliRunner

from qualification.cli.watch import watch as command
from qualification.watch.log import read, summary_of
from qualification.watch.records import Alert, Loaded, Request
from tests.support.toy_project import NAME, write_declarations
from tests.support.watch_sample import header, interrupt, stand_in, watch
from tests.watch.test_tally import a_run, log_of


@pytest.fixture
def declared(tmp_path):
    """Writes the declarations of one scripted deployment with those options."""
    return lambda **options: write_declarations(tmp_path / "declared", options=options)


def wait_for_requests(path, count, process):
    """Wait until a log has that many requests."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if path.exists() and path.read_text().count('"kind": "request"') >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {count} requests in {path}")


OF_THE_MACHINE = {"machine", "machine_memory"}
"""Alerts that a machine with other work raises, whatever is watched."""


def alerts_of(lines):
    """Give the kinds of the alerts that decide about the exit code."""
    return {line.alert for line in lines if isinstance(line, Alert) and line.level != "note"}


def test_a_deployment_of_ours_is_watched_in_its_worker(declared, tmp_path):
    """Loaded, asked, its tree's memory sampled, closed; too few requests: exit 3."""
    log = tmp_path / "log.jsonl"
    process = watch(NAME, "--declarations", declared(), "--requests", 12, "--log", log)
    out, err = process.communicate(timeout=60)
    lines = list(read(log))
    alerts = alerts_of(lines)
    assert process.returncode == (1 if alerts else 3), (out, err)
    assert alerts <= OF_THE_MACHINE
    assert f"Watched {NAME} for" in out
    assert "requests   12: 12 ok, 0 wrong, 0 failed" in out
    assert re.search(r"memory     .* private, .*\(pid \d+\) and its descendants", out)
    assert any(isinstance(line, Loaded) for line in lines)
    request = next(line for line in lines if isinstance(line, Request))
    assert not psutil.pid_exists(int(request.look.identity.partition("@")[0]))


@pytest.mark.slow
def test_a_deployment_without_a_leak_ends_with_nothing_found(declared, tmp_path):
    """Enough requests to judge its growth, and no alert but of the machine's own."""
    log = tmp_path / "log.jsonl"
    process = watch(NAME, "--declarations", declared(), "--requests", 150, "--log", log)
    out, err = process.communicate(timeout=120)
    alerts = alerts_of(read(log))
    assert process.returncode == bool(alerts), (out, err)
    assert alerts <= OF_THE_MACHINE
    assert "Theil-Sen of" in out


def test_a_worker_that_crashes_is_loaded_again(declared, tmp_path):
    """Every fourth request is a failure, and each time another process answers."""
    folder = declared(on_generate="segfault", after=3)
    log = tmp_path / "log.jsonl"
    process = watch(NAME, "--declarations", folder, "--requests", 8, "--log", log)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (out, err)
    assert "requests   8: 6 ok, 0 wrong, 2 failed" in out
    lines = list(read(log))
    failures = [line.failure for line in lines if isinstance(line, Request) and line.failure]
    assert failures == ["crashed", "crashed"]
    assert sum(isinstance(line, Loaded) for line in lines) >= 2
    assert {"failure", "restart"} <= {line.alert for line in lines if isinstance(line, Alert)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_watch_ends_in_good_order(declared, tmp_path, number):
    """The summary printed, the log closed with it, the worker gone."""
    log = tmp_path / "log.jsonl"
    process = watch(NAME, "--declarations", declared(), "--log", log)
    wait_for_requests(log, 3, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    code, out, err = interrupt(process, number)
    assert code in (0, 1, 3), err
    assert "it was interrupted" in out
    assert err == ""
    _, summary, _ = summary_of(log)
    assert summary.ended == "interrupted"
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_a_killed_watch_leaves_a_readable_log_and_the_users_server(tmp_path):
    """kill -9: --read summarises what was observed until then; the server goes on."""
    log = tmp_path / "log.jsonl"
    with stand_in() as (url, server):
        process = watch("--url", url, "--log", log)
        wait_for_requests(log, 60, process)
        process.kill()
        process.communicate()
        assert server.poll() is None
    _, summary, _ = summary_of(log)
    assert summary.ended == "not yet"
    assert summary.figures.requests >= 60
    result = CliRunner().invoke(command, ["--read", str(log)])
    assert "the log ends without a summary" in result.output
    assert "per request" in result.output


def test_metrics_are_served_on_loopback_with_units_in_their_names(tmp_path):
    """Scraped while it runs; gone with it."""
    log = tmp_path / "log.jsonl"
    with stand_in("--tokens", 3) as (url, _):
        process = watch("--url", url, "--log", log, "--prometheus", 0)
        line = ""
        while "metrics on" not in line:
            line = process.stdout.readline()
            assert line, process.communicate()
        address = re.search(r"http://127\.0\.0\.1:\d+/metrics", line).group()
        wait_for_requests(log, 5, process)
        listening = {
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        text = urllib.request.urlopen(address, timeout=10).read().decode()
        interrupt(process)
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address, timeout=10)
    assert listening == {"127.0.0.1"}
    metrics = dict(re.findall(r"^(qualify_watch_\S+) (\S+)$", text, re.MULTILINE))
    assert float(metrics['qualify_watch_requests_total{outcome="ok"}']) >= 5
    assert float(metrics["qualify_watch_held_bytes"]) > 1e6
    assert float(metrics["qualify_watch_ttft_seconds_count"]) >= 5
    assert float(metrics['qualify_watch_threshold_bytes{level="critical"}']) > 1e9
    assert "python_info" not in text


def test_critical_memory_of_the_users_choice_ends_it_with_exit_1(tmp_path):
    """A threshold under what the stand-in holds already: not a single request is needed."""
    with stand_in() as (url, server):
        process = watch("--url", url, "--log", tmp_path / "log", "--critical", "1 MB")
        out, err = process.communicate(timeout=60)
        assert server.poll() is None
    assert process.returncode == 1, err
    assert "critical memory: stopped before the machine swaps" in out
    assert "over the critical threshold of 1.00 MB" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is nothing to watch"),
        (["x@y", "--minutes", "1", "--hours", "1"], "write one of them"),
        (["x@y", "--model", "m"], "belong to a server"),
        (["no-such@mlx"], "no-such@mlx"),
        (["--url", "nonsense"], "write it as http://127.0.0.1:8080/v1"),
        (["--url", "http://127.0.0.1:1/v1"], "is the server running"),
        (["--url", "http://127.0.0.1:1/v1", "--critical", "much"], "--critical: 'much' is not"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_2(words, message):
    """It says what is wrong, where, and what to do."""
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_port_that_is_in_use_is_one_sentence(tmp_path):
    """The port of the metrics; the server is left alone."""
    with stand_in() as (url, _):
        port = url.split(":")[2].removesuffix("/v1")
        words = ["--url", url, "--log", str(tmp_path / "log"), "--prometheus", port]
        done = CliRunner().invoke(command, words)
    assert done.exit_code == 2
    assert f"127.0.0.1:{port} cannot be had" in done.output


def test_a_log_read_again_has_the_exit_code_of_the_run(tmp_path):
    """An alert in it is an alert."""
    done = CliRunner().invoke(command, ["--read", str(log_of(tmp_path / "log", a_run()))])
    assert done.exit_code == 1
    assert "alerts     1 (failure 1)" in done.output
    few = CliRunner().invoke(command, ["--read", str(log_of(tmp_path / "few", [header()]))])
    assert few.exit_code == 3
    none = CliRunner().invoke(command, ["--read", str(__file__)])
    assert none.exit_code == 2
    assert "not a line of a watch's log" in none.output
