"""What a run amounts to: thinning, quantiles, growth; its log written and read again."""

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import StoreError
from qualification.core.journal_file import JournalFile
from qualification.core.results import Condition
from qualification.servers.admin_status import WorkerStatus
from qualification.watch.conclusion import exit_code, sentences
from qualification.watch.log import Log, read, summary_of
from qualification.watch.records import Alert, Loaded, MachineState, SelfReport, Summary
from qualification.watch.tally import MAX_GROWTH, MIN_QUANTILE, Tally, Thinned
from tests.support.watch_sample import GB, header, request, thresholds


def tally_of(requests, **changes):
    """A tally of those requests."""
    tally = Tally(thresholds(**changes))
    for record in requests:
        tally.add(record)
    return tally


@given(st.integers(0, 3000), st.integers(2, 50))
def test_a_thinned_series_keeps_evenly_spaced_values_and_stays_small(count, capacity):
    """The values that it keeps are exactly every stride-th of all, from the first on."""
    series = Thinned(capacity)
    for value in range(count):
        series.add(value)
    assert series.values == list(range(0, count, series.stride))
    assert len(series.values) <= capacity
    assert series.count == count
    if count > capacity:
        assert len(series.values) >= capacity // 2


@given(st.lists(st.floats(0.001, 1000), max_size=200))
def test_quantiles_need_five_values_and_lie_among_them(values):
    """The number of values stands beside them."""
    series = Thinned()
    for value in values:
        series.add(value)
    quantiles = series.quantiles(0.95)
    assert quantiles.count == len(values)
    if len(values) < MIN_QUANTILE:
        assert (quantiles.p50, quantiles.tail) == (None, None)
    else:
        assert min(values) <= quantiles.p50
        assert quantiles.p50 <= quantiles.tail * (1 + 1e-9) <= max(values) * (1 + 1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(-5_000_000, 5_000_000), st.integers(60, 3000), st.integers(0, 2**32))
def test_growth_per_request_is_estimated_however_long_the_run(leak, count, seed):
    """Caches that fill in the first requests, and noise of 2 MB, do not hide or make it."""
    noise = random.Random(seed)
    caches = [min(number, 12) * 50_000_000 for number in range(count)]
    tally = tally_of(
        request(n + 1, 20 * GB + caches[n] + leak * n + noise.randrange(2_000_000), at_s=2.0 * n)
        for n in range(count)
    )
    growth = tally.growth()
    if growth is None:
        assert count < 60
        return
    assert growth.samples <= MAX_GROWTH
    assert growth.lower <= growth.per_request <= growth.upper
    assert growth.per_request == pytest.approx(leak, abs=4_000_000 / (0.8 * count))
    assert growth.per_hour == pytest.approx(growth.per_request * 1800, rel=1e-6)


def test_growth_forecasts_when_the_nearer_critical_threshold_is_reached():
    """1 MB a second of a headroom of 7.84 GB: a little over two hours."""
    tally = tally_of(request(n, 2 * GB + n * 1_000_000, used=20 * GB) for n in range(1, 201))
    assert tally.growth().per_request == pytest.approx(1e6)
    assert tally.growth().reached_in_s == pytest.approx(7840, rel=0.01)
    requests = (request(n, 2 * GB + n * 1_000_000) for n in range(1, 201))
    tally = tally_of(requests, subject_critical_bytes=3.2 * GB)
    assert tally.growth().reached_in_s == pytest.approx(1000, rel=0.01)


def test_a_process_that_leaks_nothing_has_no_forecast():
    """Noise around a constant has no date."""
    noise = random.Random(1)
    tally = tally_of(request(n, 2 * GB + noise.randrange(10**6)) for n in range(1, 400))
    assert tally.growth().lower <= 0 <= tally.growth().upper
    assert tally.growth().reached_in_s is None


def test_a_restart_begins_the_growth_anew():
    """The memory of the process before it says nothing about the new one."""
    tally = tally_of(request(n, n * 10_000_000) for n in range(1, 101))
    assert tally.growth().per_request == pytest.approx(1e7)
    assert tally.add(request(101, 5_000_000, identity="2@7.00"))
    assert (tally.restarts, tally.growth()) == (1, None)


def test_memory_that_is_not_observable_is_not_guessed():
    """No growth and no peak, and growth is not needed to decide; the requests are counted."""
    figures = tally_of(request(n, None) for n in range(1, 100)).figures()
    assert (figures.growth, figures.resident_peak_bytes, figures.requests) == (None, None, 99)
    assert exit_code(Summary("time", figures)) == 0
    observed = dataclasses.replace(figures, resident_peak_bytes=GB)
    assert exit_code(Summary("time", observed)) == 3


def test_speed_of_short_answers_is_recorded_and_not_judged():
    """Three tokens are mostly chance."""
    tally = tally_of(request(n, tokens=3, decode_tps=1.0) for n in range(1, 100))
    figures = tally.figures()
    assert figures.decode_tps.p50 == 1.0
    assert (figures.decode_drift, list(tally.recent_tps)) == (None, [])
    assert any("--tokens 64" in line for line in sentences(header(), Summary("time", figures), ()))


def test_a_slower_end_shows_as_drift():
    """The last quarter of the answers runs at two thirds of the speed."""
    tally = tally_of(request(n, decode_tps=90.0 if n < 75 else 60.0) for n in range(1, 101))
    assert tally.figures().decode_drift == pytest.approx(1.5)


def log_of(path, lines):
    """A log with those lines."""
    log = Log(path)
    for line in lines:
        log.write(line)
    log.close()
    return path


def a_run(count=120):
    """Lines of a whole run with everything in it."""
    lines = [header(), Loaded(0.0, 4.0)]
    lines += [request(n, GB + n * 2_000_000) for n in range(1, count)]
    lines += [
        request(count, outcome="failed"),
        Alert("failure", "warning", float(count), count, "Request failed"),
        Alert("other_work", "note", float(count), count, "Speed is not judged"),
        MachineState(60.0, (Condition("swap_growth", "0 MB"),)),
        SelfReport(60.0, (WorkerStatus("m", 94.1, 5.8e9),)),
    ]
    return lines


def test_a_log_read_again_gives_the_same_summary(tmp_path):
    """Every figure, and the alerts; a note counts for nothing."""
    lines = a_run()
    tally = Tally(thresholds())
    for line in lines[2:-4]:
        tally.add(line)
    tally.add_load(lines[1])
    tally.add_state(lines[-2])
    tally.add_self_report(lines[-1])
    written = Summary("time", tally.figures(130.0), {"failure": 1})
    path = log_of(tmp_path / "a" / "log.jsonl", [*lines, written])
    assert list(read(path)) == [*lines, written]
    header_read, summary, alerts = summary_of(path)
    assert (header_read, summary) == (header(), written)
    assert [alert.level for alert in alerts] == ["warning", "note"]
    assert exit_code(summary) == 1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_log_truncated_anywhere_is_still_read(tmp_path_factory, data):
    """As a kill -9 leaves it: complete lines count, and the summary says that it has no end."""
    folder = tmp_path_factory.mktemp("log")
    content = log_of(folder / "whole", a_run(40)).read_bytes()
    after_header = content.index(b"\n") + 1
    truncated = folder / "truncated"
    truncated.write_bytes(content[: data.draw(st.integers(after_header, len(content)))])
    _, summary, _ = summary_of(truncated)
    assert summary.ended == "not yet"
    assert summary.figures.requests == sum(
        json.loads(line)["kind"] == "request" for line in complete_lines(truncated)
    )
    assert all(line for line in sentences(header(), summary, ()))


def complete_lines(path):
    """Lines that are JSON; the last one may be truncated just behind its end."""
    for line in path.read_bytes().splitlines():
        try:
            json.loads(line)
        except ValueError:
            continue
        yield line


@given(st.binary(max_size=300))
def test_a_file_that_is_no_log_is_one_sentence(tmp_path_factory, content):
    """With its name, and never another exception."""
    path = tmp_path_factory.mktemp("log") / "file"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="file"):
        summary_of(path)


def test_a_log_of_another_version_or_with_two_headers_is_refused(tmp_path):
    """Its figures would be wrong."""
    newer = log_of(tmp_path / "newer", [dataclasses.replace(header(), version=99)])
    with pytest.raises(StoreError, match="version 99"):
        summary_of(newer)
    with pytest.raises(StoreError, match="second header"):
        summary_of(log_of(tmp_path / "two", [header(), header()]))


def test_a_log_never_overwrites(tmp_path):
    """Somebody's days of watching may be in it."""
    path = log_of(tmp_path / "log", [header()])
    with pytest.raises(FileExistsError):
        Log(path)


def test_a_full_disk_ends_the_log_and_not_the_run():
    """The reason is kept for an alert."""
    from pathlib import Path

    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    log = Log.__new__(Log)
    log.path, log.problem = full, ""
    log._file = JournalFile(full)
    log.write(header())
    assert "the log ends here: No space left" in log.problem
    log.write(header())
