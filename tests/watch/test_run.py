"""A soak test over a real connection to a stand-in that leaks, slows down, fails and dies."""

import dataclasses
import socket
import threading
import time

import pytest

from qualification.core.errors import SelectionError
from qualification.judging.thresholds import thresholds_for
from qualification.machine.probe import probe
from qualification.machine.process_tree import Tree
from qualification.models.loading import load_registry
from qualification.servers.ports import free_port
from qualification.watch.log import Log, read
from qualification.watch.records import Alert, Request, SelfReport
from qualification.watch.run import Settings, SoakTest
from qualification.watch.served_subject import ServedSubject
from tests.support.watch_sample import CANARY, header, stand_in, start_stand_in

SKILLS = "colour,shape,both,count,position,word,text,pair,which,recall"
RIGHT = ("--right-of", 1, "--skills", SKILLS)


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module")
def machine(registry):
    return probe(registry.chips, registry.tiers)


@pytest.fixture
def run(tmp_path, registry, machine):
    """Watch a base URL for that many seconds: the summary, the log's lines, the alerts."""

    def watch(
        url,
        seconds=120,
        *,
        canary=False,
        subject=None,
        failures=5,
        requests=0,
        every_s=0.0,
        pause_s=0.05,
        **changes,
    ):
        deployment = registry.deployment(CANARY) if canary else None
        levels = dataclasses.replace(thresholds_for(machine, None, deployment), **changes)
        subject = subject or ServedSubject(
            url, deployment=deployment, memory_bytes=machine.memory_bytes, deadline_s=20
        )
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        try:
            summary = SoakTest(
                subject,
                header(levels=levels, answers_checked=subject.is_canary, planned_s=seconds),
                Settings(seconds, every_s, failures=failures, requests=requests, pause_s=pause_s),
                Log(path),
            ).run()
        finally:
            subject.close()
        lines = list(read(path))
        return summary, lines, [line for line in lines if isinstance(line, Alert)]

    return watch


NOISE = {"machine", "machine_memory"}
"""Alerts about the machine that the tests run on."""


def kinds(alerts):
    """Those of the findings; notes are about this machine's other work."""
    return {alert.alert for alert in alerts if alert.level != "note"}


@pytest.mark.slow
def test_a_leak_is_found_with_its_size(run):
    """A stand-in that keeps 1 MB of each request: within 10 %, and an alert."""
    with stand_in("--keep", 1_000_000, "--token-s", 0, *RIGHT) as (url, process):
        summary, lines, alerts = run(url, canary=True, requests=200, every_s=0.05)
    figures = summary.figures
    assert (summary.ended, figures.wrong, figures.failed) == ("requests", 0, 0)
    assert figures.growth.per_request == pytest.approx(1e6, rel=0.1)
    assert figures.growth.lower > 900_000
    assert "leak" in kinds(alerts)
    assert kinds(alerts) <= NOISE | {"leak"}
    request = next(line for line in lines if isinstance(line, Request))
    assert request.look.identity.startswith(f"{process.pid}@")
    report = next(line for line in lines if isinstance(line, SelfReport))
    assert report.workers[0].pid == process.pid


def test_a_server_that_keeps_nothing_raises_no_alert(run):
    """Its answers are correct, and its memory stays."""
    with stand_in("--token-s", 0, *RIGHT) as (url, _):
        summary, _, alerts = run(url, canary=True, requests=100)
    assert summary.figures.growth.upper < 64_000
    assert summary.figures.ok == summary.figures.requests == 100
    assert kinds(alerts) <= NOISE


def test_a_canarys_wrong_answer_is_an_alert_and_cannot_act_on_a_terminal(run):
    """From the fifth on it answers something else; the tenth question was correct before."""
    with stand_in("--wrong-after", 4, *RIGHT) as (url, _):
        summary, lines, alerts = run(url, canary=True, requests=10)
    assert (summary.figures.ok, summary.figures.wrong) == (4, 6)
    (alert,) = [alert for alert in alerts if alert.alert == "wrong_answer"]
    assert "\\x1b[2Jmauve" in alert.sentence
    assert "and was answered correctly before" in alert.sentence
    assert alert.request == 10
    wrong = [line for line in lines if isinstance(line, Request) and line.outcome == "wrong"]
    assert {line.text for line in wrong} == {"\\x1b[2Jmauve"}


def test_a_real_models_answers_are_recorded_and_not_judged(run):
    """Every answer is ok; how many contain the expected answer is a figure."""
    with stand_in("--tokens", 3) as (url, _):
        summary, lines, alerts = run(url, requests=20)
    figures = summary.figures
    assert figures.ok == figures.requests == 20
    assert 0 <= figures.named_answer < figures.requests
    assert kinds(alerts) <= NOISE
    assert {line.text for line in lines if isinstance(line, Request)} == {"red and and"}


def test_failures_in_a_row_end_the_run(run):
    """Each with the server's message; fewer than that number do not."""
    with stand_in("--fail-after", 3) as (url, _):
        summary, lines, alerts = run(url, failures=4)
    assert summary.ended == "failures"
    assert (summary.figures.ok, summary.figures.failed) == (3, 4)
    failed = [line for line in lines if isinstance(line, Request) and line.outcome == "failed"]
    assert {line.failure for line in failed} == {"status"}
    assert "status 500" in failed[0].text
    assert "\\x1b[31mluck" in failed[0].text
    assert "failure" in kinds(alerts)


def test_a_stream_that_breaks_off_is_a_failure(run):
    """Half an answer is none."""
    with stand_in("--cut-after", 2) as (url, _):
        summary, lines, _ = run(url, failures=2)
    assert (summary.ended, summary.figures.ok) == ("failures", 2)
    assert [line.failure for line in lines if isinstance(line, Request)][2:] == ["connection"] * 2


@pytest.mark.parametrize("observable", [True, False])
def test_a_server_that_died_and_came_back_is_a_restart(run, observable):
    """By another process's number; if memory is not observable, by connections lost and found."""
    port = free_port()
    dying = start_stand_in("--die-after", 3, port=port)
    url = dying.stdout.readline().strip()
    again = []

    def replace():
        dying.wait()
        again.append(start_stand_in(port=port))

    subject = ServedSubject(url, deadline_s=20)
    if not observable:
        subject._tree = None
    starter = threading.Thread(target=replace)
    starter.start()
    try:
        summary, _, alerts = run(url, 6, subject=subject, failures=1000)
    finally:
        starter.join()
        for process in (dying, *again):
            process.kill()
            process.wait()
            process.stdout.close()
    assert summary.figures.restarts == 1
    assert summary.figures.ok > 3
    (alert,) = [alert for alert in alerts if alert.alert == "restart"]
    assert ("Another process" if observable else "did not take connections") in alert.sentence


def test_critical_memory_stops_the_run_at_once(run):
    """The threshold is a little over what the stand-in holds; its leak passes it."""
    with stand_in("--keep", 4_000_000) as (url, process):
        _, resident, _ = Tree(lambda: [process.pid]).held()
        threshold = resident + 60_000_000.0
        began = time.monotonic()
        summary, _, alerts = run(url, 120, subject_critical_bytes=threshold)
        assert time.monotonic() - began < 60
        assert process.poll() is None
    assert summary.ended == "critical memory"
    assert threshold < summary.figures.resident_peak_bytes < threshold + 50_000_000
    assert "subject_memory" in kinds(alerts)


def test_critical_memory_stops_a_request_that_is_running(run):
    """An answer that takes a minute is not waited for."""
    with stand_in("--token-s", 30, "--tokens", 2) as (url, _):
        timer_at = time.monotonic()
        subject = ServedSubject(url, deadline_s=100)
        sample_memory = subject.sample_memory

        def filling_memory():
            used = 10**15 if time.monotonic() - timer_at > 1.5 else 1
            return dataclasses.replace(sample_memory(), machine_used_bytes=used)

        subject.sample_memory = filling_memory
        summary, _, _ = run(url, 120, subject=subject)
        assert time.monotonic() - timer_at < 25
    assert (summary.ended, summary.figures.requests) == ("critical memory", 0)


def test_decoding_that_slows_down_falls_under_the_floor(run):
    """After five answers the stand-in's tokens come 20 ms apart: 50 tok/s at most."""
    options = ("--token-s", 0.004, "--slow-after", 5, "--tokens", 12)
    with stand_in(*options) as (url, _):
        summary, _, alerts = run(url, requests=16, floor_tps=100.0, floor_why="declared")
    assert summary.figures.decode_tps.tail < 51
    (alert,) = [alert for alert in alerts if alert.alert == "slow"]
    assert "the floor is 100 tok/s (declared)" in alert.sentence


def test_the_users_real_key_is_sent_to_nobody(monkeypatch):
    """Neither the key nor the organisation of the real service goes to a server that is watched."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SelectionError, match="no answer"):
            ServedSubject(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
        thread.join()
    assert b"secret" not in received[0]
    assert b"/v1/models" in received[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8080", "write it as"),
        ("ftp://127.0.0.1/v1", "write it as"),
        ("http://127.0.0.1:99999/v1", "from 0 to 65535"),
    ],
)
def test_an_invalid_address_is_one_sentence(url, message):
    """It says how to write one."""
    with pytest.raises(SelectionError, match=message):
        ServedSubject(url)


def test_a_server_that_does_not_run_is_one_sentence():
    """Before anything is watched."""
    with pytest.raises(SelectionError, match="is the server running"):
        ServedSubject(f"http://127.0.0.1:{free_port()}/v1")


def test_memory_of_another_machine_is_not_guessed_and_a_wrong_pid_is_refused(monkeypatch):
    """The subject says why it is not seen."""
    with stand_in() as (url, process):
        monkeypatch.setattr(
            "qualification.watch.served_subject.is_this_machine", lambda _host: False
        )
        remote = ServedSubject(url)
        assert remote.memory_of == "memory is not seen: 127.0.0.1 is another machine"
        assert remote.sample_memory().held_bytes is None
        remote.close()
        named = ServedSubject(url, pid=process.pid)
        assert f"(pid {process.pid})" in named.memory_of
        named.close()
        with pytest.raises(SelectionError, match="--pid 999999999: there is no such process"):
            ServedSubject(url, pid=999_999_999)
