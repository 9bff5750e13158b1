"""What the NVIDIA driver gave a process, replayed: there is no such GPU here."""

from types import SimpleNamespace

import pytest

from qualification.machine.gpu_memory import DevicePeak

OURS, THEIRS = 4242, 77


class Driver:
    """Answers as nvidia-ml-py does; ``held`` is GPU -> process -> bytes."""

    def __init__(self, held, graphics=None):
        self.held = held
        self.graphics = graphics

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.held)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return self._listed(self.held[handle])

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle):  # noqa: N802
        if self.graphics is None:
            raise RuntimeError("NVML_ERROR_NOT_SUPPORTED")
        return self._listed(self.graphics[handle])

    @staticmethod
    def _listed(held):
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held.items()]


def test_the_peak_stays_when_memory_is_given_back():
    """5 GB, then 2 GB: the peak is 5; another process's memory is not ours."""
    driver = Driver([{OURS: 5_000_000_000, THEIRS: 9_000_000_000}])
    peak = DevicePeak(driver, OURS)
    assert peak.look() == 5_000_000_000
    driver.held = [{OURS: 2_000_000_000}]
    assert peak.look() == 2_000_000_000
    assert peak.bytes == 5_000_000_000


def test_gpus_are_added_and_the_two_lists_of_one_are_not():
    """A process that computes and draws is in both lists with one figure."""
    driver = Driver([{OURS: 3}, {OURS: 4}], graphics=[{OURS: 3}, {}])
    assert DevicePeak(driver, OURS).look() == 7


@pytest.mark.parametrize(
    "driver",
    [
        Driver([]),
        Driver([{THEIRS: 8}]),
        Driver([{OURS: None}]),
        SimpleNamespace(nvmlDeviceGetCount=lambda: 1 / 0),
    ],
)
def test_what_the_driver_does_not_say_is_no_figure(driver):
    """No GPU, no entry, an entry without a size, a driver that fails."""
    peak = DevicePeak(driver, OURS)
    assert peak.look() == peak.bytes == 0


def test_without_a_driver_nothing_is_measured():
    """On this machine, or any; and looking again does not hurt."""
    peak = DevicePeak()
    assert peak.look() >= 0
    assert peak.bytes >= 0
