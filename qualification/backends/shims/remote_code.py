"""Keeps code that comes with a model's files from running, unless its declaration allows it.

``trust_remote_code=False`` is not enough: mlx-vlm 0.7.10 passes True in some places and then runs
the code of any model whose files name some. So the two functions of transformers that decide on
such code and import it are disabled for the life of the worker.
"""

from __future__ import annotations

from typing import Any, NoReturn


def forbid() -> None:
    """Use only the library's own classes from now on; a model's code is never imported.

    Call it before mlx_vlm or anything else imports transformers' auto classes: they take the
    deciding function by name.
    """
    from transformers import dynamic_module_utils

    decide = dynamic_module_utils.resolve_trust_remote_code

    def decide_against(_requested: Any, *arguments: Any, **options: Any) -> Any:
        return decide(False, *arguments, **options)

    dynamic_module_utils.resolve_trust_remote_code = decide_against
    dynamic_module_utils.get_class_in_module = _refuse


def _refuse(class_name: str, module_path: Any, **_options: Any) -> NoReturn:
    message = (
        f"the model's files want to run their own code ({class_name} in {module_path}), which is "
        "off; if you have reviewed it, declare remote_code = true with that commit as revision "
        "and run with --allow-remote-code"
    )
    try:
        from qualification.core.errors import BackendFailed
    except ImportError:  # a server's process, in an environment without this project
        raise RuntimeError(message) from None
    raise BackendFailed(message)
