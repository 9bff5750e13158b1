"""Questions and answers: each from the records, and none where they do not say."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.results import Check, Condition
from qualification.documents.model import plain_text
from qualification.documents.sections.faq import faq
from qualification.models.loading import load_registry
from qualification.results.rows import rows
from tests.documents.air_sample import EIGHT, LARGE, SMALL, air, row_of

SEEN = {"image_tokens": 972.0, "prompt_tokens": 1000.0}
NOTHING = {
    "accuracy_questions": 0,
    "decode_tps": (),
    "load_s": (),
    "ttft_s": (),
    "peak_memory_bytes": (),
}


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


def answers(figures, registry, pick=LARGE, checks=(), conditions=(), **machine):
    """Question -> its answer in one line."""
    sample = air(figures, checks, **machine)
    sample = replace(sample, session=replace(sample.session, conditions=conditions))
    section = faq(
        row_of(pick, sample, registry),
        registry.deployment(pick),
        rows(sample, registry),
        sample,
        registry,
    )
    texts = {}
    for question, answer in zip(section.blocks[::2], section.blocks[1::2], strict=True):
        points = (answer.content,) if answer.kind == "paragraph" else answer.entries
        texts[plain_text(question.content)] = " | ".join(map(plain_text, points))
    return texts


def question(texts, beginning):
    """The one answer to a question that begins so."""
    (text,) = [answer for name, answer in texts.items() if name.startswith(beginning)]
    return text


def test_a_larger_one_that_is_faster_is_explained_by_the_shares_of_the_roofline(registry):
    """The documents of 2025-12-29 guessed; here it is bytes and bandwidth."""
    texts = answers({LARGE: {}, SMALL: {"decode_tps": 8.37}}, registry)
    text = question(texts, f"Why is {LARGE} faster than {SMALL}?")
    assert "reads 3.98 GB" in text
    assert "120 GB/s allow 30.2 tok/s and 69.1 tok/s" in text
    assert "21.8 tok/s, 72% of it, and 8.37 tok/s, 12%" in text
    assert "it is the software that slows qwen2.5-vl-3b-4bit@mlx down" in text


def test_a_larger_one_that_is_slower_reads_more(registry):
    """The usual case, whichever of the two is picked."""
    for pick in (LARGE, SMALL):
        texts = answers({LARGE: {}, SMALL: {"decode_tps": 48.0}}, registry, pick)
        text = question(texts, f"Why is {LARGE} slower than {SMALL}?")
        assert text.endswith("It reads 2.3 times as much for each token.")


def test_equal_speeds_and_unknown_bandwidth_ask_nothing(registry):
    """Nothing is explained that was not seen."""
    alike = {LARGE: {}, SMALL: {"decode_tps": 22.0}}
    assert not [name for name in answers(alike, registry) if name.startswith("Why is qwen")]
    texts = answers({LARGE: {}, SMALL: {}}, registry, bandwidth=None)
    assert not [name for name in texts if name.startswith("Why is qwen")]


def test_the_next_larger_one_has_its_sum(registry):
    """Predicted, or the peak that was measured."""
    name = "Can I run qwen2.5-vl-32b-4bit@mlx, the next larger one?"
    assert question(answers({LARGE: {}}, registry), name).startswith(
        "Only with applications closed: predicted 23.3 GB = weights"
    )
    small = answers({LARGE: {}}, registry, memory_bytes=16 * 2**30)
    assert question(small, name).startswith("No: predicted")
    measured = {LARGE: {}, "qwen2.5-vl-32b-4bit@mlx": {"peak_memory_bytes": 21e9}}
    assert "its peak was 21.0 GB here" in question(answers(measured, registry), name)


def test_two_at_once_are_summed(registry):
    """Of the measured peak, and of the declared combinations."""
    text = question(answers({LARGE: {}}, registry), "Can I run two at once?")
    assert f"{LARGE} twice, 2 × 6.80 GB measured = 13.6 GB" in text
    assert "No: 7B and 32B: predicted 30.4 GB" in text
    texts = answers({SMALL: {"peak_memory_bytes": 3e9}}, registry, SMALL)
    assert question(texts, "Can I run two at once?").startswith("Yes: ")


def test_a_registry_without_a_combinations_models_says_nothing_of_it(registry):
    """As with models of the user's alone."""
    alone = registry.matching([LARGE])
    text = question(answers({LARGE: {}}, alone), "Can I run two at once?")
    assert "7B and 32B" not in text


@pytest.mark.parametrize(
    ("four", "conclusion"),
    [
        (0.94, "the intervals overlap, so this session cannot tell the answers apart"),
        (0.60, "its answers are better, beyond chance"),
        (1.0, "the intervals overlap, so this session cannot tell the answers apart"),
    ],
)
def test_more_bits_are_better_only_beyond_chance(four, conclusion, registry):
    """With accuracy, speed and memory of both; the larger is named first."""
    figures = {
        LARGE: {"accuracy": four},
        EIGHT: {"accuracy": 0.97, "decode_tps": 12.1, "peak_memory_bytes": 10.9e9},
    }
    text = question(answers(figures, registry), "Is 8bit better than 4bit?")
    assert text.startswith("97% (92–99 % of 100 questions), 12.1 tok/s, 10.9 GB peak against ")
    assert text.endswith(f": {conclusion}.")
    assert question(answers(figures, registry, EIGHT), "Is 8bit better than 4bit?") == text


def test_accuracy_of_unknown_count_compares_nothing(registry):
    """A share of nobody knows how many is no evidence."""
    texts = answers({LARGE: {}, EIGHT: {"accuracy_questions": 0}}, registry)
    assert not [name for name in texts if name.startswith("Is ")]


def test_backends_of_one_model_stand_beside_each_other(registry):
    """With the one that the rule takes first."""
    mlx, torch = "smolvlm2-500m-video-bf16@mlx", "smolvlm2-500m-video-f32@torch"
    figures = {mlx: {"peak_memory_bytes": 2e9}, torch: {"accuracy": 0.70, "decode_tps": 30.0}}
    text = question(answers(figures, registry, mlx, bandwidth=None), "Which backend for smolvlm2")
    assert text.startswith(f"{mlx}, by accuracy, then speed, then memory. | ")
    assert f"{torch}: 70% (60–78 % of 100 questions) correct, 30.0 tok/s" in text


@pytest.mark.parametrize(
    ("outcome", "beginning"),
    [("passed", "Yes: "), ("failed", "Not reliably: "), ("xfailed", "Not reliably: ")],
)
def test_answers_without_an_image_are_those_of_the_check(outcome, beginning, registry):
    """And what can be guessed of an image that was left out."""
    check = Check(LARGE, "capability", "test_text_only_question", outcome)
    figures = {LARGE: {"context_without_image": 0.25}}
    text = question(answers(figures, registry, checks=(check,)), "Does it answer without an image?")
    assert text.startswith(beginning)
    assert "25.0% of the questions" in text
    assert "Does it answer without an image?" not in answers({LARGE: {}}, registry)


def test_images_are_counted_by_their_tokens_and_by_what_was_tried(registry):
    """The declared context less the answer and the text."""
    tried = [
        Check(LARGE, "capability", f"test_takes_several_images[{count}]", outcome)
        for count, outcome in ((2, "passed"), (4, "passed"), (5, "failed"))
    ]
    name = "How many images does a request take?"
    text = question(answers({LARGE: SEEN}, registry, checks=tried), name)
    assert text.startswith("8 at most: a context of 8,192 tokens, less 300 for the answer and 28")
    assert "took 972 tokens" in text
    assert text.endswith("Tried in one request: 4.")
    single = "moondream2-bf16@mlx"
    assert question(answers({single: SEEN}, registry, single), name).startswith("One: ")
    assert name not in answers({LARGE: {}}, registry)


def test_the_first_request_waits_for_the_load(registry):
    """With the phases of every later one."""
    figures = {LARGE: {"load_cold_s": 12.3, "vision_encode_s": 0.8, "prefill_s": 0.4}}
    text = question(answers(figures, registry), "Why is the first request slow?")
    assert text.startswith("It waits for the load: 4.20 s (12.3 s with nothing in the page cache)")
    assert "1.40 s to its first token: vision 800 ms, prefill 400 ms." in text


def test_trust_is_a_matter_of_repetitions_state_and_physics(registry):
    """What limits it is said."""
    figures = {LARGE: {"decode_tps": (21.7, 21.8, 21.9)}}
    name = "Can I trust these figures?"
    fit = (Condition("power", "mains"), Condition("load", "0.1"))
    text = question(answers(figures, registry, conditions=fit), name)
    assert "the median of 3 repetitions, 21.7 to 21.9 tok/s, CV 0.5%" in text
    assert "It is 72% of the 30.2 tok/s that the memory bandwidth allows" in text
    assert "All 2 conditions were fit for timing" in text
    unfit = (*fit, Condition("heat", "throttled", fit=False))
    text = question(answers({LARGE: {}}, registry, conditions=unfit), name)
    assert "one repetition, so its spread is not known" in text
    assert "Not fit for timing: heat was throttled" in text
    assert "fit for timing." not in text


def test_nothing_measured_answers_no_question_of_figures(registry):
    """Only what the declarations alone can predict is left."""
    texts = answers({LARGE: NOTHING}, registry)
    assert [name.partition(" qwen")[0] for name in texts] == ["Can I run", "Can I run two at once?"]
    assert answers_section({LARGE: NOTHING}, registry, memory_bytes=0) is None


def answers_section(figures, registry, **machine):
    """The section itself."""
    sample = air(figures, **machine)
    row = row_of(LARGE, sample, registry)
    return faq(row, registry.deployment(LARGE), rows(sample, registry), sample, registry)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from([SMALL, EIGHT, "qwen2-vl-2b-4bit@mlx"]),
        st.fixed_dictionaries(
            {},
            optional={
                metric: st.floats(allow_nan=True, allow_infinity=True)
                for metric in ("decode_tps", "peak_memory_bytes", "accuracy", "image_tokens")
            },
        ),
    ),
    st.fixed_dictionaries(
        {}, optional={m: st.floats() for m in ("decode_tps", "image_tokens", "prompt_tokens")}
    ),
)
def test_odd_figures_break_no_answer(rivals, own):
    """A stored session may come from anywhere."""
    registry = load_registry()
    answers_section({**rivals, LARGE: own}, registry)
