"""A deployment with the session that measured it, as those see it who run it by hand. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from qualification.core.declarations import Deployment
from qualification.core.results import Session
from qualification.core.servers import ServerProgram
from qualification.core.text import without_login
from qualification.results.rows import Row
from qualification.servers import programs

PORT = 8080
QUESTION, PICTURE = "Describe this image.", "image.png"

_SERVED_BY = {
    "mlx": "mlx_vlm.server",
    "torch": "transformers-serve",
    "llamacpp": "llama_cpp.server",
}
"""Engine -> the program that serves it, for a deployment that was measured in process."""

_SECRET = re.compile(r"(?:^|[-_])(?:key|token|secret|password|passwd)$", re.IGNORECASE)


@dataclass(frozen=True)
class Recipe:
    """A deployment with the session that measured it; ``row`` is None if that did not."""

    deployment: Deployment
    row: Row | None
    session: Session

    @property
    def revision(self) -> str:
        """The commit that was measured, or the declared revision."""
        measured = self.row.commit if self.row else ""
        return measured or self.deployment.source.revision

    @property
    def folder(self) -> str:
        """Where its files are: the declared folder, or the link that :func:`download` makes."""
        return self.deployment.source.path or self.deployment.identifier.rpartition("@")[0]

    @property
    def program(self) -> ServerProgram | None:
        """What serves it; None where nothing is known that does."""
        return program_of(self.deployment)

    @property
    def address(self) -> str:
        """The base URL that requests go to: where a user's server was found, else the declared."""
        base = self.row.load.address if self.row and self.row.load else ""
        is_foreign = self.deployment.source.server == "url"
        return (is_foreign and without_login(base)) or address(self.deployment)

    @property
    def port(self) -> int:
        """Where its server listens."""
        return port(self.deployment)

    @property
    def served_as(self) -> str:
        """The model's name in requests."""
        if self.program is not None:
            return self.program.served_as(Path(self.folder))
        measured = self.row.load.served_as if self.row and self.row.load else ""
        return measured or str(self.deployment.source.options.get("model", ""))

    @property
    def sees(self) -> bool:
        """Whether it takes an image."""
        return "vision" in self.deployment.model.capabilities

    def version(self, distribution: str) -> str:
        """The recorded release without its local part; '' where it is none, or no version."""
        try:
            return Version(self.session.environment.versions.get(distribution, "")).public
        except InvalidVersion:
            return ""


def address(deployment: Deployment) -> str:
    """The base URL of a user's server, or of the one that ``shell.serve`` starts."""
    source = deployment.source
    if source.server == "url":
        return without_login(str(source.options["url"])).rstrip("/")
    return f"http://{programs.HOST}:{port(deployment)}/v1"


def port(deployment: Deployment) -> int:
    """The declared port of a server, else :data:`PORT`."""
    source = deployment.source
    return int(source.options.get("port", 0)) or PORT if source.server else PORT


def program_of(deployment: Deployment) -> ServerProgram | None:
    """What serves it: its own program, or that of its engine; None where none is known."""
    source = deployment.source
    return programs.PROGRAMS.get(source.server or _SERVED_BY.get(source.engine, ""))


def is_secret(name: str) -> bool:
    """Whether an option or a variable of that name may hold a key or a password."""
    return _SECRET.search(name) is not None
