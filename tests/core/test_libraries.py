"""What is recorded of libraries, and how a release is named."""

import pytest

from qualification.core.libraries import LIBRARIES, release_name


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2026.9.10809", "xllamacpp 2026.9.10809 (llama.cpp b10809)"),
        ("2026.4.8672.1", "xllamacpp 2026.4.8672.1 (llama.cpp b8672)"),
        ("0.2.14", "xllamacpp 0.2.14"),
    ],
)
def test_a_release_of_xllamacpp_names_the_build_of_llama_cpp_in_it(version, name):
    """Where its version says it."""
    assert release_name("xllamacpp", version) == name


def test_another_library_has_its_name_and_version():
    """Whatever the version looks like."""
    assert release_name("mlx", "2026.9.10809") == "mlx 2026.9.10809"


def test_the_libraries_of_every_engine_are_recorded():
    """A served one as well as those in process."""
    assert {"mlx", "torch", "llama-cpp-python", "xllamacpp"} <= {*LIBRARIES}
