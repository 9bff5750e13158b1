"""Whole files or none."""

from __future__ import annotations

from pathlib import Path


def write(documents: dict[str, str], folder: Path) -> list[Path]:
    """Write each document whole or not at all; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in documents.items():
        file = folder / name
        draft = file.with_name(f".{name}.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
        files.append(file)
    return files
