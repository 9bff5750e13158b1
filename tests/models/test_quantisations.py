"""Bytes per weight by the name of a quantisation: a lower bound, or one sentence."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qualification.core.errors import DeclarationError
from qualification.models.quantisations import BLOCKS, LEAST, bytes_per_weight


def test_the_blocks_of_gguf_are_those_of_its_library():
    """Every float format that it knows, and no other figures."""
    from gguf import GGML_QUANT_SIZES

    listed = {kind.name: size for kind, size in GGML_QUANT_SIZES.items()}
    assert {name: listed[name] for name in BLOCKS if name in listed} == {
        name: size for name, size in BLOCKS.items() if name in listed
    }
    assert {"Q4_K", "IQ4_XS", "TQ1_0"} <= listed.keys()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("bf16", 2),
        ("fp16", 2),
        ("fp8", 1),
        ("fp8-dynamic", 1),
        ("FP8_E4M3", 1),
        ("int4", 0.5),
        ("awq-int4", 0.5),
        ("gptq-4bit-128g", 0.5),
        ("w4a16", 0.5),
        ("4.5bpw", 4.5 / 8),
        ("4bit", 0.5625),
        ("4-bit", 0.5625),
        ("5bit", 0.6875),
        ("4bit-DWQ", 0.5625),
        ("6bit-DWQ-053125", 0.8125),
        ("4bit-gs32", 0.625),
        ("mixed_3_6", 0.4375),
        ("mxfp4", 17 / 32),
        ("nvfp4", 9 / 16),
        ("mxfp8", 33 / 32),
        ("MXFP4-Q8", 17 / 32),
        ("MXFP4_MOE", 17 / 32),
        ("Q8_0", 34 / 32),
        ("Q4_0_4_4", 18 / 32),
        ("Q3_K_L", 110 / 256),
        ("Q6_K", 210 / 256),
        ("IQ4_XS", 136 / 256),
        ("IQ3_XXS", 82 / 256),
        ("IQ2_M", 82 / 256),
        ("UD-Q4_K_XL", 136 / 256),
        ("UD-IQ2_M", 66 / 256),
        ("UD-Q8_K_XL", 34 / 32),
    ],
)
def test_a_name_says_the_least_that_a_weight_takes(name, size):
    """A mixture counts as its smallest format."""
    assert bytes_per_weight(name) == pytest.approx(size)


@pytest.mark.parametrize("name", ["AutoRound", "as-served", "", "128bit", "0bit", "awq", "Q"])
def test_a_name_that_says_nothing_is_one_sentence(name):
    """And no guess."""
    with pytest.raises(DeclarationError, match=r"bytes per weight of .*are not known"):
        bytes_per_weight(name)


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9._+-]{1,20}", fullmatch=True)))
@example("9" * 5000 + "bit")
@example("4bit-gs" + "9" * 5000)
@example("4bit-gs0")
def test_any_name_gives_a_plausible_figure_or_is_refused(name):
    """Nothing else is raised."""
    try:
        size = bytes_per_weight(name)
    except DeclarationError:
        return
    assert LEAST / 4 < size <= 5


@given(
    st.sampled_from(["Q4_K_M", "4bit", "IQ4_XS", "fp8", "bf16", "int4"]),
    st.sampled_from(["AutoRound", "instruct", "v2"]),
)
def test_a_part_that_says_nothing_never_raises_the_bound(name, part):
    """It may only cost the exactness of MLX's format."""
    assert bytes_per_weight(f"{name}-{part}") <= bytes_per_weight(name)
