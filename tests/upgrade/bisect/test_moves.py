"""How two resolved environments differ, and one of them with one package moved."""

from qualification.upgrade.bisect.moves import Move, differing, pinned
from tests.support.bisect_sample import built


def test_packages_that_were_named_are_suspected_first():
    """Pins in their order, then the libraries, then others; parts of one library together."""
    good = {
        "zlib": "1",
        "mlx": "1",
        "mlx-cpu": "1",
        "torch": "2.0",
        "aaa": "1",
        "pip": "1",
        "x": "1",
    }
    bad = {
        "zlib": "2",
        "mlx": "2",
        "mlx-cpu": "2",
        "torch": "2.1",
        "aaa": "2",
        "pip": "2",
        "y": "1",
    }
    assert differing(good, bad, ["zlib", "torch"]) == (
        Move(("zlib",), "1", "2"),
        Move(("torch",), "2.0", "2.1"),
        Move(("mlx", "mlx-cpu"), "1", "2"),
        Move(("aaa",), "1", "2"),
        Move(("x",), "1", ""),
        Move(("y",), "", "1"),
    )


def test_nothing_but_the_moved_package_changes():
    """Others are pinned as resolved, without local versions, and stay without dependencies."""
    versions = {"torch": "2.13.0+cpu", "mlx": "1", "torchvision": "0.28.0", "pip": "26"}
    base = built("a", versions, no_dependencies=("torchvision==0.28.0",))
    spec = pinned(base, {"mlx": "2"})
    assert spec.pins == ("mlx==2", "torch==2.13.0")
    assert spec.no_dependencies == ("torchvision==0.28.0",)
