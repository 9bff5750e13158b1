"""Files that are there in whole or not at all, and changes of them of which none is lost."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from qualification.core.file_lock import locked


def write_whole(file: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a file (text as UTF-8): no reader ever meets a part of it, and no crash leaves one.

    The content goes to a draft in the same folder, which is then renamed; a missing folder is made.
    ``durable`` flushes file and folder to the disk, so that they survive a power cut. Raises
    OSError or UnicodeEncodeError, and then leaves no draft.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(draft, file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    if durable:
        _flush_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises OSError, NotADirectoryError where one of them is a file or a link that leads nowhere.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(
            errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename
        ) from None


def write_documents(documents: Mapping[str, str], folder: Path) -> list[Path]:
    """Write each document (file name -> text) whole into a folder; returns the files."""
    files = [folder / name for name in documents]
    for file, text in zip(files, documents.values(), strict=True):
        write_whole(file, text)
    return files


def lock_path(file: Path) -> Path:
    """The lock of a file, beside it; it is there only while somebody changes the file."""
    return file.with_name(f".{file.name[:100]}.lock")


def change_file(file: Path, changed: Callable[[], str | None]) -> None:
    """Write what ``changed`` returns, whole and durably, with the lock of the file held.

    ``changed`` reads the file, which no other process changes meanwhile, and returns its new
    content; None removes it. A missing folder is made. Raises OSError or UnicodeEncodeError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock_path(file)) as lock:
        try:
            content = changed()
            if content is None:
                file.unlink()
            else:
                write_whole(file, content, durable=True)
        finally:
            lock.path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """So that the rename itself survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
