"""torchvision's operators are declared by us only where its own extension does not load."""

import subprocess
import sys
import sysconfig

import pytest

from qualification.core.libraries import installed_version

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed_version("torch"), reason="torch is not installed"),
]

NMS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
SCRIPT = f"""
import sys
import torch
from qualification.backends.shims.torchvision import install_if_needed

def load_library(path):
    if "loads" not in sys.argv:
        raise OSError("libcudart.so.13: cannot open shared object file")
    extension = torch.library.Library("torchvision", "DEF")
    extension.define({NMS!r})
    kept.append(extension)

kept = []
torch.ops.load_library = load_library
print(install_if_needed())
import torchvision
"""
"""The operators of an extension that loads; declared a second time, torch raises an exception."""

LOADERS = {
    "_C": 'lib_path = _get_extension_path("_C")\ntorch.ops.load_library(lib_path)\n',
    "_C_stable": 'if _load_library("_C_stable"):\n    pass\n',
}
"""How torchvision 0.28 and 0.29 name what they load."""


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("loads", [True, False])
def test_operators_are_declared_where_the_extension_does_not_load(tmp_path, name, loads):
    """Whatever its file is called. The import succeeds in both cases."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("import torch; torch.ops.torchvision.nms")
    (package / "extension.py").write_text(LOADERS[name])
    (package / (name + sysconfig.get_config_var("EXT_SUFFIX"))).write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *["loads"] * loads],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(not loads), done.stderr
    assert done.returncode == 0, done.stderr
