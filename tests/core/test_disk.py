"""A full disk is told from every other failure, however a library reports it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from qualification.core.disk import full_disk, has_no_room, is_of_a_full_disk, room_in
from qualification.core.errors import BackendFailed, DiskFull


def raised_from(cause: Exception) -> Exception:
    """An exception that a library raises from another one."""
    error = RuntimeError("the tensor could not be saved")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (raised_from(OSError(errno.ENOSPC, "")), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (BackendFailed("it ended", stderr_tail="cc1plus: No space left on device"), True),
        (OSError(errno.ENOENT, "No such file or directory"), False),
        (raised_from(OSError(errno.EACCES, "Permission denied")), False),
        (RuntimeError("CUDA out of memory"), False),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_its_text(error: Exception, is_full: bool) -> None:
    """Also where another exception was raised from it."""
    assert is_of_a_full_disk(error) is is_full


def test_a_ring_of_causes_ends() -> None:
    """Exceptions that name each other as their cause."""
    cause, effect = RuntimeError("one"), RuntimeError("two")
    cause.__cause__, effect.__cause__ = effect, cause
    assert not is_of_a_full_disk(cause)


def test_only_the_error_of_a_full_disk_is_turned(tmp_path: Path) -> None:
    """It names the folder and what to do; any other error stays as it is."""
    with pytest.raises(DiskFull, match=f"{tmp_path}: no space is left .*B free.*TMPDIR"):  # noqa: SIM117
        with room_in(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), room_in(tmp_path):
        (tmp_path / "gone").read_text()


def test_a_folder_with_room_has_some(tmp_path: Path) -> None:
    """And one that is not there is not full."""
    assert not has_no_room(tmp_path)
    assert not has_no_room(tmp_path / "gone")
    assert "(" not in str(full_disk(tmp_path / "gone"))
    assert not list(tmp_path.iterdir())
