"""Finds the API of a user's server and the model to ask, or says why nothing can be asked."""

from __future__ import annotations

from qualification.backends.server.patience import Patience
from qualification.core.errors import WeightsUnavailable
from qualification.servers.client import KEY
from qualification.servers.served import Served, served


def connect(address: str, model: str, patience: Patience) -> Served:
    """What serves at ``address``, with the one model that is meant; '' takes the only one."""
    import openai

    try:
        server = served(address, model, patience.ask)
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise WeightsUnavailable(
            f"{address} asks for a key: set {KEY} ({error.message})"
        ) from error
    except (openai.OpenAIError, AttributeError, TypeError, ValueError) as error:
        raise WeightsUnavailable(
            f"{address} does not list its models ({type(error).__name__}: {error}); "
            "is the server running there?"
        ) from error
    if not server.model:
        raise WeightsUnavailable(
            f"{server.address} serves {len(server.models)} models; name one with --server-model: "
            + ", ".join(server.models[:10])
        )
    return server
