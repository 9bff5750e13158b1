"""mkdocs: files of the repository that pages link to are part of the site, under ``project/``.

A link such as ``../CHANGELOG.md`` works on GitHub as it is. Here its target is added to the site
and the link is rewritten; the same holds for the links of the files that were added.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(?<=\]\()[^)\s#:]+(?=[)#])")
"""The path of a Markdown link or image that names no host."""

_OUTSIDE = "project/"


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to outside of docs/, and what those files link to."""
    root = Path(config.config_file_path).parent
    pages = list(files.documentation_pages())
    while pages:
        for target in _targets(pages.pop()):
            uri = _uri(target)
            if (root / target).is_file() and files.get_file_from_path(uri) is None:
                file = File.generated(config, uri, abs_src_path=str(root / target))
                files.append(file)
                pages += [file] if file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Let links between docs/ and the rest of the repository point into the site."""

    def moved(link: re.Match[str]) -> str:
        uri = _uri(_target(page.file, link[0]))
        if files.get_file_from_path(uri) is None:
            return link[0]
        return posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(moved, markdown)


def _targets(page: File) -> Iterator[str]:
    for link in _LINK.findall(page.content_string):
        yield _target(page, link)


def _target(page: File, link: str) -> str:
    """The path of a link's target in the repository."""
    place = page.src_uri
    place = place[len(_OUTSIDE) :] if place.startswith(_OUTSIDE) else f"docs/{place}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), link))


def _uri(target: str) -> str:
    """Where a file of the repository is in the site; a name without a suffix is shown as text."""
    if target.startswith("docs/"):
        return target[len("docs/") :]
    return f"{_OUTSIDE}{target}" + ("" if posixpath.splitext(target)[1] else ".txt")
