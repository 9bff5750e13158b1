"""Keeps code that comes with a model's files from running, unless its declaration allows it.

``trust_remote_code=False`` is not enough: mlx-vlm 0.7.10 passes True in places of its own, and
with that runs the code of any model whose files name some, asked or not. So the two functions of
transformers that decide on such code and that import it are closed for the worker's whole life.
"""

from __future__ import annotations

from typing import Any, NoReturn

from qualification.core.errors import BackendFailed


def forbid() -> None:
    """From now on the library's own classes are used, and a model's code is never imported.

    Call it before mlx_vlm or anything else imports transformers' auto classes: they take the
    deciding function by name.
    """
    from transformers import dynamic_module_utils

    decide = dynamic_module_utils.resolve_trust_remote_code

    def decide_against(_asked: Any, *arguments: Any, **options: Any) -> Any:
        return decide(False, *arguments, **options)

    dynamic_module_utils.resolve_trust_remote_code = decide_against
    dynamic_module_utils.get_class_in_module = _refuse


def _refuse(class_name: str, module_path: Any, **_options: Any) -> NoReturn:
    raise BackendFailed(
        f"the model's files want to run their own code ({class_name} in {module_path}), which is "
        "off; if you have reviewed it, declare remote_code = true with that commit as revision "
        "and run with --allow-remote-code"
    )
