"""Known bugs: the shipped ones match real failures, apply in their range, and end by a draft."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from qualification.core.paths import DECLARATIONS, PACKAGE
from qualification.models.known_bugs import draft, ended, how_to_end, in_range, known_bugs, remedy
from qualification.models.loading import load_registry

REGISTRY = load_registry()
SEVEN = REGISTRY.deployment("qwen2.5-vl-7b-4bit@mlx")
LLAVA = REGISTRY.deployment("llava-1.6-mistral-7b-4bit@mlx")
STATE = "test_another_image_between_changes_nothing"

FAILURES = {
    "llama-cpp-python-limit-in-a-character": "65 tokens where 64 were allowed, to '🔺ثب'",
    "llava-state-corruption": "BackendFailed: ValueError: input operand has more dimensions than "
    "allowed by the axis remapping",
    "qwen2.5-vl-two-images": "AssertionError: "
    "of 5 questions about two images, incorrect answers: []",
    "transformers-smolvlm-merger": "BackendFailed: RuntimeError: shape '[-1, 14, 64]' is invalid "
    "for input of size 1280",
    "llama.cpp-resizing": "AssertionError: the logit margins of 9 of 30 questions differ",
    "phi3-long-rope": "AssertionError: the logit margins of 21 of 30 questions differ",
    "qwen2-vl-two-images": "BackendFailed: ValueError: [addmm] Last dimension of first input with "
    "shape (64,24) must match second to last dimension of second input with shape (48,48).",
    "transformers-qwen2.5-vl-still-images": "AssertionError: the logit margins of 21 of 30 "
    "questions differ",
    "llama.cpp-smolvlm-tiles": "AssertionError: 20 of 30 correct, first incorrect answers: "
    "What colour is the shape? -> 'purple triangle', expected 'purple'",
    "smolvlm-split-images": "AssertionError: 50.0% correct, first incorrect answers: []",
    "qwen-vl-rotary-in-decoding": "AssertionError: "
    "of 8 questions about two images, incorrect answers: ",
    "qwen-vl-prefill-in-chunks": "BackendFailed: ValueError: [broadcast_shapes] Shapes (1,4,16,16) "
    "and (1,1,16,29) cannot be broadcast.",
    "mlx-data-url": "BackendFailed: ValueError: The image data:image/png;base64,iVBORw0KGg must be "
    "a valid URL or existing file.",
    "phi3-runs-past-its-end": "AssertionError: still talking after 64 tokens: 'red<|end|> red'",
    "qwen2.5-vl-3b-varying-speed": "Failed: decoding speed has a CV of 75%, twice: 8.8, 34.4 tok/s",
    "qwen2.5-vl-3b-slow-load": "AssertionError: loading took 35.4 s, the limit is 10.0 s",
    "moondream2-no-text-only": "AssertionError: text-only question 'Which digit is five?' -> '', "
    "expected '5'",
    "mlx-bytes": "BackendFailed: AttributeError: '_io.BytesIO' object has no attribute 'size'",
    "llamacpp-exif": "AssertionError: the image as exif_rotated: Where is the shape, seen from "
    "the dot? -> 'left', expected 'above' (and so it was answered as PNG)",
    **{
        f"{name}-transparency": "AssertionError: the image as transparent: Which shape is it? -> "
        "'square', expected 'circle' (and so it was answered as PNG)"
        for name in ("llamacpp", "llama-server", "llama.cpp", "mlx", "torch")
    },
    **{
        f"{name}-16-bits": "AssertionError: the image as sixteen_bits: Which shape is it? -> "
        "'circle', expected 'triangle' (and so it was answered as PNG)"
        for name in ("mlx", "torch")
    },
    "llama-cpp-server-silent-streams": "AssertionError: about data that is not an image, "
    "streamed: 200 ''",
    "llama-cpp-server-interrupts": "Failed: of 12 requests of 4 clients 3 failed: client 2: the "
    "stream ended with finish_reason None",
    "mlx-server-batches-of-tiles": "Failed: of 8 requests of 4 clients 3 failed: client 2 "
    "broke off: APIError: An error occurred during streaming",
    "llama-server-closes-connections": "AssertionError: it closed the connection after a streamed "
    "answer",
    "llama-server-exif": "AssertionError: the image as exif_rotated: Where is the shape, seen "
    "from the dot? -> 'left', expected 'above' (and so it was answered as PNG)",
    "llama-server-webp": "BackendFailed: llama-server answered 400: Error code: 400 - Failed to "
    "load image or audio file",
    "llamacpp-webp": "BackendFailed: ValueError: Failed to create bitmap from image bytes",
    "llava-next-mlx-packing": "AssertionError: "
    "4 of 8 correct; What colour is the shape? -> 'black'",
    "llava-next-llamacpp-packing": "AssertionError: VQA accuracy 18.3% (10.6% to 29.9%, n = 60)",
    "llava-next-mlx-margins": "AssertionError: "
    "the logit margins of 13 equal answers are 7.7% from those",
    "llava-next-llamacpp-margins": "AssertionError: "
    "the logit margins of 11 equal answers are 6.6% from",
    "transformers-cache-warning": "Failed: hub.py:110: FutureWarning: Using `TRANSFORMERS_CACHE` "
    "is deprecated and will be removed in v5 of Transformers.",
    "fast-processor-warning": "Failed: The image processor of type `Qwen2VLImageProcessor` is now "
    "loaded as a fast processor by default",
    "llama-server-500": 'AssertionError: no_body: answered with 500 \'{"error":{"code":500,'
    '"message":"[json.exception.parse_error.101] parse error\'',
    "llama-server-lenient": "AssertionError: unknown_role: answered with 200 "
    '\'{"choices":[{"finish_reason":"stop"\'',
    "llama-server-any-model": "AssertionError: unknown_model: answered with 200 "
    '\'{"choices":[{"finish_reason":"stop"\'',
    "llama.cpp-closes-connections": "AssertionError: it closed the connection after a streamed "
    "answer",
    "llama.cpp-exif": "AssertionError: the image as exif_rotated: Where is the shape, seen "
    "from the dot? -> 'left', expected 'above' (and so it was answered as PNG)",
    "llama.cpp-webp": "BackendFailed: llama.cpp answered 400: Error code: 400 - Failed to "
    "load image or audio file",
    "llava-next-llama.cpp-packing": "AssertionError: VQA accuracy 23.3% (14.4% to 35.4%, n = 60)",
    "llama.cpp-500": 'AssertionError: unreachable_url: answered with 500 \'{"error":{"code":500,'
    '"message":"Failed to download image"\'',
    "llama.cpp-lenient": "AssertionError: unknown_role: answered with 200 "
    '\'{"choices":[{"finish_reason":"stop"\'',
    "llama.cpp-any-model": "AssertionError: unknown_model: answered with 200 "
    '\'{"choices":[{"finish_reason":"stop"\'',
    "llama-cpp-server-500": "AssertionError: broken_base64: answered with 500 "
    '\'{"error":{"message":"Incorrect padding"\'',
    "llama-cpp-server-lenient": "AssertionError: negative_max_tokens: answered with 200 "
    '\'{"id":"chatcmpl-768a9a94","object":"chat.completion"\'',
    "llama-cpp-server-any-model": "AssertionError: unknown_model: answered with 200 "
    '\'{"id":"chatcmpl-00303027","object":"chat.completion"\'',
    "llama-cpp-server-local-files": "AssertionError: file_url: answered with 200 "
    '\'{"id":"chatcmpl-e80e4a0e","object":"chat.completion"\'',
    "llama-cpp-server-stream-usage": "AssertionError: the last piece was {'choices': [{'index': 0, "
    "'finish_reason': 'stop'}]}; the usage of the same, whole, is {'prompt_tokens': 51}",
    "llama-cpp-server-error-shape": "refused in another shape: no_body, bad_json, "
    "unknown_path, wrong_method; 500 'Internal Server Error'",
    "mlx-server-stop": "AssertionError: with stop ['triangle']: 200 '{\"id\":\"chatcmpl-4430e2b\"'",
    "mlx-server-500": "AssertionError: no_image: answered with 500 "
    '\'{"detail":"An unexpected error occurred: Failed to load image from data:image/png\'',
    "mlx-server-local-files": "AssertionError: file_path: answered with 200 "
    '\'{"id":"chatcmpl-52cc2071","object":"chat.completion"\'',
    "mlx-server-compaction": "AssertionError: 1001_messages: answered with 502 "
    '\'{"detail":"Compaction produced an empty summary; original context preserved."}\'',
    "mlx-server-error-shape": "refused in another shape: no_body, bad_json, "
    "no_messages, unknown_role, no_content, unknown_model, negative_max_tokens; 422 '{\"detail\"'",
    "transformers-serve-models": "AssertionError: GET /v1/models, where smolvlm is served, was "
    "answered with 500 'Internal Server Error'",
    "transformers-serve-stop": "AssertionError: with stop ['disc']: 500 'Internal Server Error'",
    "transformers-serve-no-done": "AssertionError: a stream of text/event-stream; charset=utf-8 "
    'ended with {"id":"24b273cc"}',
    "transformers-serve-500": "AssertionError: negative_max_tokens: answered with 500 "
    "'Internal Server Error'",
    "transformers-serve-lenient": "AssertionError: unknown_role: answered with 200 "
    '\'{"id":"e614d411-4116-4fae-90e9-4ccdd1267efb","choices"\'',
    "transformers-serve-local-files": "AssertionError: file_path: answered with 200 "
    '\'{"id":"10269cc8-ad2d-44fa-914c-a530a8f5b734","choices"\'',
    "transformers-serve-error-shape": "refused in another shape: no_body, bad_json, "
    "no_messages, unknown_model, negative_max_tokens, broken_base64; 422 '{\"detail\"'",
}
"""The message of each failing test; the first and the last two are those of real runs."""

WIDE = {
    "qwen2.5-vl-two-images",
    "qwen-vl-rotary-in-decoding",
    "smolvlm-split-images",
    "llava-next-mlx-packing",
    "llava-next-llamacpp-packing",
    "llava-next-mlx-margins",
    "llava-next-llamacpp-margins",
    "llava-next-llama.cpp-packing",
    "llama.cpp-smolvlm-tiles",
    "llama.cpp-resizing",
    "phi3-long-rope",
    "transformers-qwen2.5-vl-still-images",
}
"""Wrong answers of a canary fail many tests, each in its own words."""


@pytest.mark.parametrize("bug", REGISTRY.bugs, ids=lambda bug: bug.identifier)
def test_each_bug_matches_its_own_failure_and_no_other(bug):
    """A regex that fits nothing would never excuse; one that fits others would excuse too much."""
    assert re.search(bug.failure, FAILURES[bug.identifier])
    same = {b.identifier for b in REGISTRY.bugs if b.failure == bug.failure}
    for identifier, text in FAILURES.items():
        if bug.identifier not in WIDE and identifier not in (*same, *WIDE):
            assert not re.search(bug.failure, text), identifier
    for crash in ("WorkerCrashed: the worker died of SIGSEGV", "WorkerTimedOut: generate took"):
        assert not re.search(bug.failure, crash)


@pytest.mark.parametrize("bug", REGISTRY.bugs, ids=lambda bug: bug.identifier)
def test_each_bug_names_a_test_that_exists(bug):
    """A renamed test would leave its bug without effect."""
    suites = "\n".join(file.read_text() for file in (PACKAGE / "suites").glob("test_*.py"))
    for test in (*bug.tests, *bug.may_fail):
        assert f"def {test.partition('[')[0]}(" in suites


# --------------------------------------------------------------------------- which apply


@pytest.mark.parametrize(
    ("version", "applies"),
    [("0.0.9", False), ("0.0.10", True), ("0.3.9", True), ("0.4.0", True), ("0.4.1", False)],
)
def test_the_llava_bug_applies_in_its_exact_range(version, applies):
    """Bad from 0.0.10 to 0.4.0, fixed in 0.4.1: docs/regressions.md, row 2."""
    bugs = known_bugs(REGISTRY.bugs, LLAVA, STATE, {"mlx-vlm": version}, "studio")
    assert (bugs != ()) is applies


def test_a_bug_is_for_its_deployments_and_tests_only():
    """Another model, another test or no such package: no excuse."""
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(REGISTRY.bugs, SEVEN, STATE, versions, "") == ()
    assert known_bugs(REGISTRY.bugs, LLAVA, "test_loads", versions, "") == ()
    assert known_bugs(REGISTRY.bugs, LLAVA, STATE, {}, "") == ()


def test_a_bug_may_be_for_some_tiers_only():
    """Where tiers are named, another tier has no excuse."""
    bugs = [replace(bug, tiers=("studio",)) for bug in REGISTRY.bugs]
    three = REGISTRY.deployment("qwen2.5-vl-3b-4bit@mlx")
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(bugs, three, "test_speed_repeats", versions, "studio") != ()
    assert known_bugs(bugs, three, "test_speed_repeats", versions, "air_m3") == ()


def test_a_bug_of_a_model_holds_with_random_weights_too():
    """bugs.toml names the real deployment; its synthetic one runs the same code."""
    random = REGISTRY.with_weights("synthetic").deployment("qwen2.5-vl-3b-4bit-synthetic@mlx")
    assert random.declared_as == "qwen2.5-vl-3b-4bit@mlx"
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(REGISTRY.bugs, random, "test_load_within_limit", versions, "") != ()


@pytest.mark.parametrize(
    ("version", "inside"), [("", False), ("not-a-version", False), ("2", True)]
)
def test_a_version_that_cannot_be_read_is_in_no_range(version, inside):
    """An absent library has no bugs."""
    assert in_range(version, ">=1") is inside


# --------------------------------------------------------------------------- the draft of bugs.toml

TEXT = """# A comment.
[[bugs]]
identifier = "one"
versions = ">=0.4.1"  # measured
package = "mlx-vlm"

[[bugs]]
identifier = "two"
versions = ">=0.4.1,<0.9"
"""
RELEASES = st.builds(lambda a, b: f"{a}.{b}", st.integers(0, 5), st.integers(0, 9))


@pytest.mark.parametrize(
    ("versions", "good", "expected"),
    [
        (">=0.4.1", "0.7.11", ">=0.4.1,<0.7.11"),
        (">=0.4.1,<0.9", "0.6.14", ">=0.4.1,<0.6.14"),
        (">=0.4.1", "0.4.1", ">=0.4.1,!=0.4.1"),
        (">=4.54,!=4.55,<5.4", "5.3", ">=4.54,!=4.55,<5.3"),
    ],
)
def test_a_range_ends_before_the_release_that_is_good(versions, good, expected):
    """Its beginning and its exceptions stay."""
    assert ended(versions, good) == expected


@given(RELEASES, RELEASES, RELEASES)
def test_the_good_release_is_out_and_nothing_new_is_in(lower, good, release):
    """A release that was outside of the range stays outside."""
    before = SpecifierSet(f">={lower}")
    after = SpecifierSet(ended(f">={lower}", good))
    assert good not in after
    assert release in before or release not in after


def test_the_draft_is_a_diff_of_that_line_alone():
    """The lowest good version counts, comments stay, other entries are not touched."""
    text = draft(TEXT, [("two", "0.8"), ("two", "0.6.14"), ("unknown", "1.0")])
    changed = [
        line for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == ['-versions = ">=0.4.1,<0.9"', '+versions = ">=0.4.1,<0.6.14"']
    assert draft(TEXT, []) == ""


def test_an_entry_without_a_remaining_release_is_removed():
    """Known for one release only, and that one is good."""
    text = '[[bugs]]\nidentifier = "one"\nversions = "==0.3.9"\ntitle = "x"\n\n# next\n[[bugs]]\n'
    diff = draft(text, [("one", "0.3.9")])
    assert '-title = "x"' in diff
    assert "-# next" not in diff


def test_every_shipped_entry_can_be_drafted():
    """The file has the form that the draft reads."""
    text = (DECLARATIONS / "bugs.toml").read_text()
    for identifier in re.findall(r'^identifier = "(.*)"$', text, re.MULTILINE):
        assert f'identifier = "{identifier}"' in draft(text, [(identifier, "999.0")])


@pytest.mark.parametrize(
    ("workaround", "issue", "expected"),
    [
        ("send PNG", "library#1", "workaround: send PNG; see library#1"),
        ("send PNG", "", "workaround: send PNG"),
        ("", "library#1", "no workaround is known; see library#1"),
        ("", "", "no workaround is known"),
    ],
)
def test_what_to_do_about_a_bug_is_one_clause(workaround, issue, expected):
    """Also where nothing can be done."""
    bug = replace(REGISTRY.bugs[0], workaround=workaround, issue=issue)
    assert remedy(bug) == expected


@pytest.mark.parametrize(
    ("is_checkout", "clause"), [(True, "end its range in bugs.toml"), (False, "your own decl")]
)
def test_a_range_is_ended_in_a_file_that_the_user_has(monkeypatch, is_checkout, clause):
    """Nobody edits a file of an installed package."""
    monkeypatch.setattr("qualification.core.paths.is_checkout", lambda: is_checkout)
    assert clause in how_to_end()
