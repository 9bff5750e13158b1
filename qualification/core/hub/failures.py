"""Why the hub gave nothing, in a sentence that says what to do: for the parent and the worker."""

from __future__ import annotations

import re
from typing import Any

from qualification.core.format import duration_text
from qualification.core.text import one_line

_LONGEST_ANSWER = 120
_WAIT_S = 30.0
"""How long to wait for a hub that limits requests and does not say how long."""


def cause_of(error: Exception, repository: str, revision: str) -> str:
    """Why the hub gave nothing, and what to do."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository}"
    response = _response(error)
    if isinstance(error, errors.GatedRepoError):
        return f"its repository is gated: ask for access at {page}, then log in with: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has no such revision (any more): declare one of {page}/commits/main"
    if response is not None and response.status_code == 401:
        return (
            "the hub refuses the credentials (401): log in again with hf auth login, or correct "
            f"HF_TOKEN; without a token, look whether {page} exists and is public"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no such repository for you: correct the name, or log in to {page} with: "
            "hf auth login"
        )
    root = _chain(error)[-1]
    reason = f"{type(root).__name__}: {one_line(root, _LONGEST_ANSWER)}"
    if response is not None:
        reason = f"the hub answers {response.status_code}"
    if (wait_s := asked_wait_s(error)) is not None:
        reason = f"the hub answers 429, too many requests: wait {duration_text(wait_s)}"
    when = "where there is a network" if response is None else "later"
    return (
        f"it could not be downloaded ({reason}); try again {when}: "
        f"hf download {repository} --revision {revision}"
    )


def asked_wait_s(error: BaseException) -> float | None:
    """Seconds that the hub asks to wait before the next request; None where it limits nothing.

    It says them in ``Retry-After``, or as ``t`` in ``RateLimit``:
    https://huggingface.co/docs/hub/rate-limits
    """
    response = _response(error)
    if response is None or response.status_code != 429:
        return None
    after = str(response.headers.get("Retry-After", ""))
    match = re.search(r"\bt=(\d+)", str(response.headers.get("RateLimit", "")))
    return float(after) if after.isdecimal() else float(match[1]) if match else _WAIT_S


def is_final(error: BaseException) -> bool:
    """Whether asking again cannot help: the hub refuses what was asked for."""
    response = _response(error)
    return response is not None and 400 <= response.status_code < 500


def gave_no_answer(error: BaseException) -> bool:
    """Whether the hub was not reached at all. An error of our own arguments does not tell."""
    is_ours = isinstance(error, ValueError | TypeError | LookupError | AttributeError)
    return _response(error) is None and not is_ours


def _response(error: BaseException) -> Any:
    """The hub's answer behind an exception, None where it gave none."""
    responses = (getattr(cause, "response", None) for cause in _chain(error))
    return next((response for response in responses if response is not None), None)


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what it was raised from, the first cause last."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes
