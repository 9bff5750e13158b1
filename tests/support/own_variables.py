"""The variables of a program that a test starts in a project of its own."""

import os


def own_variables() -> dict[str, str]:
    """Those of the caller without its settings of pytest and of this project.

    The folder of locks stays: tests do not wait for each other, nor for what the user measures.
    """
    dropped = ("PYTEST_", "QUALIFY_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return own | {"QUALIFY_LOCKS": os.environ["QUALIFY_LOCKS"]}
