"""Which of this process's variables the processes that it starts are given.

A process gets the variables of :data:`TABLE` that it has a use for, and no other: keys, passwords
and the addresses that hold them stay here. The table is in docs/environment-variables.md. The
standard library only, because ``make`` starts installers before anything is installed.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import Literal

Use = Literal["any", "library", "installer", "server", "gate"]

API_KEY = "QUALIFY_API_KEY"
LOGIN = "QUALIFY_SERVER_LOGIN"
HUB_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

TABLE: dict[Use, tuple[str, ...]] = {
    "any": (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "NO_COLOR"),
        *("TMPDIR", "TMP", "TEMP", "XDG_*", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*", "MALLOC_*"),
        *("NIX_LD", "NIX_LD_LIBRARY_PATH", "__CF_USER_TEXT_ENCODING"),
        *("PYENV_*", "ASDF_*", "MISE_*"),
        *("PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONDEVMODE"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "PYTHONNOUSERSITE"),
        *("PYTHONFAULTHANDLER", "PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHON_GIL", "PYTHON_JIT"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ),
    "library": (
        *("CUDA_*", "CUBLAS_*", "CUDNN_*", "NCCL_*", "NVIDIA_*", "TRITON_*"),
        *("HIP_*", "HSA_*", "ROCM_*", "ROCR_*", "MIOPEN_*", "AMD_*", "GPU_*"),
        *("OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "VECLIB_*", "NUMEXPR_*"),
        *("DNNL_*", "ONEDNN_*", "ATEN_*", "MLX_*", "METAL_*", "MTL_*", "GGML_*", "LLAMA_*"),
        *("XLLAMACPP_*", "TORCH*", "PYTORCH_*", "TRANSFORMERS_*", "TOKENIZERS_*", "SAFETENSORS_*"),
        *("ACCELERATE_*", "BNB_*", "HF_*", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
        *("HUGGINGFACE_HUB_CACHE", "DO_NOT_TRACK", "DISABLE_TELEMETRY", "QUALIFY_CACHE"),
        *("CC", "CXX", "CPATH", "LIBRARY_PATH", "SDKROOT", "DEVELOPER_DIR"),
    ),
    "installer": (
        *("PIP_*", "UV_*", "UV_INDEX_*_USERNAME", "UV_INDEX_*_PASSWORD", "SSL_CLIENT_CERT"),
        *("NETRC", "PYTHON_KEYRING_*", "DBUS_SESSION_BUS_ADDRESS"),
        *("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH"),
        *("CMAKE_*", "FORCE_CMAKE", "MAKEFLAGS", "PKG_CONFIG_PATH", "MAX_JOBS", "CUDA_*"),
        *("CUDACXX", "ARCHFLAGS", "MACOSX_DEPLOYMENT_TARGET", "SDKROOT", "DEVELOPER_DIR"),
        *("SOURCE_DATE_EPOCH", "SETUPTOOLS_*", "ROCM_*", "HIP_*", "HIPCXX"),
    ),
    "server": (API_KEY, LOGIN),
    "gate": (
        *("QUALIFY_HOME", "QUALIFY_LOCKS", "QUALIFY_INSTALLER", *HUB_KEYS),
        *("GITHUB_STEP_SUMMARY", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH"),
        *("COLUMNS", "LINES", "COLORTERM", "FORCE_COLOR"),
    ),
}
"""Use -> patterns of names. One that ends in ``*`` takes no name that has a word of a secret."""

_SECRET = re.compile(
    r"(^|_)(TOKEN|KEY|APIKEY|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|AUTH)(_|$)", re.IGNORECASE
)


def child_variables(*uses: Use) -> dict[str, str]:
    """The variables of this process for a child: those for any, and those for its ``uses``."""
    return {name: value for name, value in os.environ.items() if is_for(name, *uses)}


def is_for(name: str, *uses: Use) -> bool:
    """Whether a variable is given to a child with these uses."""
    return any(_matches(name, pattern) for use in ("any", *uses) for pattern in TABLE[use])


def hub_keys() -> dict[str, str]:
    """The user's keys for the hub, which go with a request to fetch and into no environment."""
    return {name: os.environ[name] for name in HUB_KEYS if name in os.environ}


def _matches(name: str, pattern: str) -> bool:
    is_hidden = pattern.endswith("*") and _SECRET.search(name) is not None
    return not is_hidden and fnmatchcase(name, pattern)
