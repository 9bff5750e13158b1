"""Which recorded library versions matter to a backend, and how environments differ. Pure.

``mlx`` is pinned as ``mlx[cpu]`` on Linux: without the extra there is no library to compute with
(REGRESSIONS 8), and a release that has no such extra ignores it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qualification.core.results import Environment

PRINCIPAL: dict[str, tuple[str, ...]] = {
    "mlx": ("mlx", "mlx-vlm", "transformers"),
    "torch": ("torch", "transformers"),
    "llamacpp": ("llama-cpp-python",),
}
"""Backend -> the libraries that compute or that make the prompt."""

BESIDE: dict[str, tuple[str, ...]] = {
    "mlx": ("mlx-lm", "tokenizers", "huggingface_hub", "torch", "torchvision", "numpy", "pillow"),
    "torch": ("torchvision", "tokenizers", "huggingface_hub", "numpy", "pillow"),
    "llamacpp": ("numpy", "pillow"),
}
"""Backend -> the other libraries that it loads."""


def backend_of(deployment: str) -> str:
    """``mlx`` of ``qwen2.5-vl-7b-4bit@mlx``; '' where the identifier names none."""
    return deployment.rpartition("@")[2] if "@" in deployment else ""


def python_series(environment: Environment) -> str:
    """``3.12`` of Python 3.12.1: the series, for which packages are built."""
    return ".".join(environment.python.split(".")[:2])


def principal(backend: str, environment: Environment) -> dict[str, str]:
    """The versions of a backend's principal libraries, without those that are not installed."""
    return _installed(PRINCIPAL.get(backend, ()), environment.versions)


def pins(backend: str, environment: Environment, system: str) -> tuple[str, ...]:
    """Exact requirements of what a backend loads, of an environment that was recorded.

    Local labels (``2.13.0+cpu``) are left out, since no index knows a release by them, and so is
    what is no version at all.
    """
    from packaging.version import InvalidVersion, Version

    names = (*PRINCIPAL.get(backend, ()), *BESIDE.get(backend, ()))
    extra = {"mlx": "[cpu]"} if system == "linux" else {}
    found = []
    for name, version in _installed(names, environment.versions).items():
        try:
            found.append(f"{name}{extra.get(name, '')}=={Version(version).public}")
        except InvalidVersion:
            continue
    return tuple(found)


def difference(backend: str, earlier: Sequence[Environment], now: Environment) -> str:
    """``mlx-vlm 0.3.9 or 0.5.0 (now 0.7.10) and 2 libraries besides``; '' where nothing differs.

    Principal libraries and Python's series by name, other libraries by their number. A library
    that one side did not record is not compared.
    """
    words = []
    series = _others([python_series(one) for one in earlier], python_series(now))
    if series:
        words.append(f"Python {series}")
    for name in PRINCIPAL.get(backend, ()):
        if found := _of(name, earlier, now):
            words.append(f"{name} {found}")
    beside = sum(bool(_of(name, earlier, now)) for name in BESIDE.get(backend, ()))
    if beside:
        noun = "libraries" if beside > 1 else "library"
        words.append(f"{beside} {noun} besides" if words else f"{beside} other {noun}")
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _of(name: str, earlier: Sequence[Environment], now: Environment) -> str:
    return _others([one.versions.get(name, "") for one in earlier], now.versions.get(name, ""))


def _others(earlier: Sequence[str], now: str) -> str:
    """``0.3.9 or 0.5.0 (now 0.7.10)`` where any of the earlier ones is another."""
    known = list(dict.fromkeys(version for version in earlier if version))
    if not now or all(version == now for version in known):
        return ""
    return f"{' or '.join(known)} (now {now})"


def _installed(names: Sequence[str], versions: Mapping[str, str]) -> dict[str, str]:
    return {name: versions[name] for name in names if versions.get(name)}
