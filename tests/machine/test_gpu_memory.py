"""GPU memory that the NVIDIA driver reports for a process, replayed: there is no such GPU here."""

from types import SimpleNamespace

import pytest

from qualification.machine.gpu_memory import DevicePeak

OURS, THEIRS = 4242, 77


class Driver:
    """Answers as nvidia-ml-py does; ``compute`` is GPU -> process -> bytes."""

    def __init__(self, compute, graphics=None):
        self.compute = compute
        self.graphics = graphics

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.compute)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return self._listed(self.compute[handle])

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle):  # noqa: N802
        if self.graphics is None:
            raise RuntimeError("NVML_ERROR_NOT_SUPPORTED")
        return self._listed(self.graphics[handle])

    @staticmethod
    def _listed(sizes):
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in sizes.items()]


def test_the_peak_stays_when_memory_is_freed():
    """5 GB, then 2 GB: the peak is 5; another process's memory is not ours."""
    driver = Driver([{OURS: 5_000_000_000, THEIRS: 9_000_000_000}])
    peak = DevicePeak(driver, OURS)
    assert peak.sample() == 5_000_000_000
    driver.compute = [{OURS: 2_000_000_000}]
    assert peak.sample() == 2_000_000_000
    assert peak.bytes == 5_000_000_000


def test_gpus_are_added_and_the_two_lists_of_one_are_not():
    """A process that computes and draws is in both lists with one figure."""
    driver = Driver([{OURS: 3}, {OURS: 4}], graphics=[{OURS: 3}, {}])
    assert DevicePeak(driver, OURS).sample() == 7


@pytest.mark.parametrize(
    "driver",
    [
        Driver([]),
        Driver([{THEIRS: 8}]),
        Driver([{OURS: None}]),
        SimpleNamespace(nvmlDeviceGetCount=lambda: 1 / 0),
    ],
)
def test_a_process_unknown_to_the_driver_has_no_figure(driver):
    """No GPU, no entry, an entry without a size, a driver that fails."""
    peak = DevicePeak(driver, OURS)
    assert peak.sample() == peak.bytes == 0


def test_without_a_driver_nothing_is_measured():
    """On this machine, or any; sampling again does not hurt."""
    peak = DevicePeak()
    assert peak.sample() >= 0
    assert peak.bytes >= 0
