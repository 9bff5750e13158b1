"""Environments that nobody built, and searches over them."""

from qualification.core.errors import EnvironmentFailed
from qualification.upgrade.bisect.records import EnvironmentJudgment
from qualification.upgrade.bisect.releases import Between
from qualification.upgrade.bisect.search import Bisect, Candidates
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec
from tests.support.session_sample import HOSTILE


def built(name, versions, **facts):
    """An environment of those versions, as if it were built."""
    pins = tuple(f"{package}=={version}" for package, version in versions.items())
    spec = EnvironmentSpec(name, "", pins, **facts)
    return Built(spec, name, name, dict(versions), "3.11.7")


class ToyIndex:
    """Environments by their pins: what fails is a function of them, and pip may refuse."""

    def __init__(self, fails, refuses=lambda _versions: False):
        self.fails, self.refuses = fails, refuses

    def ready(self, spec):
        versions = dict(pin.split("==") for pin in spec.pins)
        if self.refuses(versions):
            raise EnvironmentFailed("pip failed: no such thing at https://user:word@some.host/x")
        return Built(spec, spec.name, spec.name, versions, "3.11.7")

    def judge(self, environment):
        versions = {name: int(version) for name, version in environment.versions.items()}
        bad = self.fails(versions)
        return EnvironmentJudgment("bad" if bad else "good", HOSTILE if bad else "as before")

    def between(self, _package, good, bad):
        inside = [str(number) for number in range(int(good) + 1, int(bad))]
        return Between(tuple(inside), (("9.9", "it was yanked"),))

    def search(self, good, bad, *, only="", ready=None):
        candidates = Candidates(
            built("a", good),
            built("b", bad),
            self.judge,
            ready or self.ready,
            lambda _line: None,
        )
        return Bisect("d", "answers", candidates, self.between, only=only).run()
