"""Refits the memory that a backend takes besides a model from measured peaks of its worker.

Least squares without negative terms of

    peak − cache = copies · weights + a · image tokens + process

over the observations of one backend, in bytes, so that large models count for more. A constant
that the observations do not determine stays as declared: ``a`` without images, ``copies`` with
weights of one size only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from qualification.core.backends import BACKENDS
from qualification.core.declarations import BackendMemory
from qualification.core.errors import DeclarationError
from qualification.core.protocol import BackendName
from qualification.core.units import Bytes
from qualification.models.declaration_checks import unknown_backend
from qualification.models.strict_toml import read_declarations

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """Peak memory of one worker; ``run`` describes it in words.

    ``cache``: the bytes of its key/value cache by the formula.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    backend: BackendName
    run: str
    weights: Bytes
    cache: Bytes
    image_tokens: int
    peak: Bytes


@dataclass(frozen=True)
class _Observations:
    __pydantic_config__ = ConfigDict(extra="forbid")
    observations: tuple[Observation, ...]


def read_observations(file: Path) -> tuple[Observation, ...]:
    """Return the ``[[observations]]`` of a TOML file; DeclarationError where it is no such file."""
    observations = read_declarations(file, _Observations).observations
    for observation in observations:
        if observation.backend not in BACKENDS:
            raise DeclarationError(
                f"{file}: observation {observation.run!r}, key 'backend' "
                f"{unknown_backend(observation.backend)}"
            )
    return observations


def predicted_bytes(observation: Observation, backend: BackendMemory) -> float:
    """The peak that the constants of a backend give for what was observed."""
    activations = backend.activations_per_1000_image_tokens * observation.image_tokens / 1000
    return (
        observation.weights * backend.weights_copies
        + observation.cache
        + activations
        + backend.process
    )


def fit(observations: Sequence[Observation], backend: BackendMemory) -> BackendMemory:
    """Return the backend with constants that fit its observations; as it was without any."""
    fitted = [observation for observation in observations if observation.backend == backend.name]
    if not fitted:
        return backend
    weights = np.array([observation.weights for observation in fitted])
    tokens = np.array([observation.image_tokens / 1000 for observation in fitted])
    target = np.array([observation.peak - observation.cache for observation in fitted])
    columns = [np.ones(len(fitted))]
    fits_copies = len(set(weights.tolist())) > 1
    fits_activations = len(set(tokens.tolist())) > 1
    if fits_copies:
        columns.append(weights)
    else:
        target = target - backend.weights_copies * weights
    if fits_activations:
        columns.append(tokens)
    else:
        target = target - backend.activations_per_1000_image_tokens * tokens
    scale = 1e9  # columns of like size: bytes beside ones would lose digits
    columns = [column / scale if column is weights else column for column in columns]
    solution = _least_squares(np.column_stack(columns), target / scale)
    process = solution.pop(0) * scale
    copies = solution.pop(0) if fits_copies else backend.weights_copies
    activations = backend.activations_per_1000_image_tokens
    if fits_activations:
        activations = solution.pop(0) * scale
    return replace(
        backend,
        process=process,
        weights_copies=copies,
        activations_per_1000_image_tokens=activations,
    )


def _least_squares(columns: FloatArray, target: FloatArray) -> list[float]:
    """The factors, none negative, of the columns (n × k) whose sum is nearest to the target (n).

    The best one is an ordinary least squares of some of the columns, the other factors being 0
    (C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23). With the
    three columns of this model all choices are tried, fewer columns first.
    """
    count = columns.shape[1]
    nearest, least = np.zeros(count), float(np.linalg.norm(target))
    rounding = 1e-12 * least
    for chosen in sorted(product((False, True), repeat=count), key=sum)[1:]:
        factors = np.zeros(count)
        factors[list(chosen)] = np.linalg.lstsq(columns[:, list(chosen)], target, rcond=None)[0]
        distance = float(np.linalg.norm(columns @ factors - target))
        if factors.min() >= 0 and distance < least - rounding:
            nearest, least = factors, distance
    return [float(factor) for factor in nearest]
