"""The shipped known bugs against the shipped suites: each must match what its test really says."""

import re

import pytest

from qualification.models.loading import load_registry

SAID = {
    "llava-state-corruption": "BackendFailed: ValueError: input operand has more dimensions than "
    "allowed by the axis remapping",
    "qwen2.5-vl-two-pictures": "AssertionError: of 5 questions about two pictures, wrong ones: []",
    "smolvlm-split-pictures": "AssertionError: 50.0% right, first wrong ones: []",
    "qwen-vl-rotary-in-decoding": "AssertionError: of 8 questions about two pictures, wrong ones: ",
    "qwen-vl-prefill-in-chunks": "BackendFailed: ValueError: [broadcast_shapes] Shapes (1,4,16,16) "
    "and (1,1,16,29) cannot be broadcast.",
    "mlx-data-url": "BackendFailed: ValueError: The image data:image/png;base64,iVBORw0KGg must be "
    "a valid URL or existing file.",
    "phi3-runs-past-its-end": "AssertionError: still talking after 64 tokens: 'red<|end|> red'",
    "qwen2.5-vl-3b-varying-speed": "Failed: decoding speed varies by 75%, twice: 8.8, 34.4 tok/s",
    "qwen2.5-vl-3b-slow-load": "AssertionError: loading took 35.4 s, the limit is 10.0 s",
    "moondream2-no-text-only": "AssertionError: text-only question 'Which digit is five?' -> '', "
    "expected '5'",
    "mlx-bytes": "BackendFailed: AttributeError: '_io.BytesIO' object has no attribute 'size'",
    "llamacpp-exif": "AssertionError: the picture as exif_rotated: Where is the shape, seen from "
    "the dot? -> 'left', expected 'above' (and so it was answered as PNG)",
    "llama-cpp-server-silent-streams": "AssertionError: about something that is no picture, "
    "streamed: 200 ''",
    "llama-cpp-server-interrupts": "Failed: of 12 requests of 4 clients 3 failed: client 2: the "
    "stream ended with finish_reason None",
    "mlx-server-batches-of-tiles": "Failed: of 8 requests of 4 clients 3 failed: client 2 "
    "broke off: APIError: An error occurred during streaming",
    "llama-server-closes-connections": "AssertionError: it closed the connection after a streamed "
    "answer",
    "llama-server-exif": "AssertionError: the picture as exif_rotated: Where is the shape, seen "
    "from the dot? -> 'left', expected 'above' (and so it was answered as PNG)",
    "llama-server-webp": "BackendFailed: llama-server answered 400: Error code: 400 - Failed to "
    "load image or audio file",
    "llamacpp-webp": "BackendFailed: ValueError: Failed to create bitmap from image bytes",
    "llava-next-mlx-packing": "AssertionError: 4 of 8 right; What colour is the shape? -> 'black'",
    "llava-next-llamacpp-packing": "AssertionError: VQA accuracy 18.3% (10.6% to 29.9%, n = 60)",
    "llava-next-mlx-margins": "AssertionError: the margins of 13 equal answers are 7.7% from those",
    "llava-next-llamacpp-margins": "AssertionError: the margins of 11 equal answers are 6.6% from",
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
    "mlx-server-500": "AssertionError: no_picture: answered with 500 "
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
"""What each test says when it fails; the first and the last two as seen in real runs."""

WIDE = {
    "qwen2.5-vl-two-pictures",
    "qwen-vl-rotary-in-decoding",
    "smolvlm-split-pictures",
    "llava-next-mlx-packing",
    "llava-next-llamacpp-packing",
    "llava-next-mlx-margins",
    "llava-next-llamacpp-margins",
}
"""Wrong answers of a canary fail many tests, each in its own words."""


@pytest.mark.parametrize("bug", load_registry().bugs, ids=lambda bug: bug.identifier)
def test_each_bug_matches_its_own_failure_and_no_other(bug):
    """A regex that fits nothing would never excuse; one that fits others would excuse too much."""
    assert re.search(bug.failure, SAID[bug.identifier])
    same = {one.identifier for one in load_registry().bugs if one.failure == bug.failure}
    for identifier, text in SAID.items():
        if bug.identifier not in WIDE and identifier not in (*same, *WIDE):
            assert not re.search(bug.failure, text), identifier
    for crash in ("WorkerCrashed: the worker died of SIGSEGV", "WorkerTimedOut: generate took"):
        assert not re.search(bug.failure, crash)


@pytest.mark.parametrize("bug", load_registry().bugs, ids=lambda bug: bug.identifier)
def test_each_bug_names_a_test_that_exists(bug):
    """A renamed test would leave its bug without effect."""
    from qualification.core.paths import home

    suites = "\n".join(
        file.read_text() for file in (home() / "qualification/suites").glob("test_*.py")
    )
    for test in (*bug.tests, *bug.may_fail):
        assert f"def {test.partition('[')[0]}(" in suites
