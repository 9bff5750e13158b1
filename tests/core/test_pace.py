"""A line on what takes long, not too often and not too rarely."""

import time

import pytest

from qualification.core.pace import PLAIN_S, TERMINAL_S, Paced, growing


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("is_terminal", "pause_s"), [(True, TERMINAL_S), (False, PLAIN_S)])
def test_a_line_comes_once_in_a_while(is_terminal, pause_s):
    """The first at once; a terminal has more of them."""
    clock, lines = Clock(), []
    paced = Paced(lines.append, is_terminal=is_terminal, clock=clock)
    for _ in range(121):
        paced(f"at {clock.now:g} s")
        clock.now += 1.0
    assert lines == [f"at {second:g} s" for second in range(0, 121, int(pause_s))]


def said_while(folder, **options):
    """The lines until one has been said of a folder that grows to 3 MB."""
    lines = []
    with growing(folder, "making weights", lines.append, every_s=0.01, **options):
        (folder / "part").mkdir()
        (folder / "part/a").write_bytes(bytes(1_000_000))
        (folder / "b").write_bytes(bytes(2_000_000))
        deadline = time.monotonic() + 30.0
        while not any("3.00" in line for line in lines) and time.monotonic() < deadline:
            time.sleep(0.01)
    return lines


def test_what_grows_says_its_bytes(tmp_path):
    """Of all, where that is known."""
    assert said_while(tmp_path)[-1] == "making weights 3.00 MB"


def test_what_grows_to_a_known_size_says_both(tmp_path):
    """In one unit."""
    assert said_while(tmp_path, total=4_000_000)[-1] == "making weights 3.00 of 4.00 MB"


def test_nothing_is_said_any_more_at_its_end(tmp_path):
    """Also after an error."""
    lines = []
    with (
        pytest.raises(ValueError, match="ended"),
        growing(tmp_path, "making", lines.append, every_s=0.01),
    ):
        raise ValueError("ended")
    count = len(lines)
    time.sleep(0.05)
    assert len(lines) == count
