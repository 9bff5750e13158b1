"""Python that loads a deployment and asks it once, in the way in which its backend does. Pure.

Every text of a declaration is a literal of the code; what may be a key is read from a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from packaging.version import Version

from qualification.core.child_variables import API_KEY
from qualification.documents.sections.recipes.code_parts import (
    folder_lines,
    import_lines,
    literal,
    message_lines,
    options_line,
    request_lines,
    template_line,
)
from qualification.documents.sections.recipes.recipe import PICTURE, QUESTION, Recipe, is_secret
from qualification.models.weights import load_request

_ONE_TEXT = ("phi3_v", "moondream1", "moondream2")
"""Families whose chat template takes a turn as one text; as in the backend ``mlx``."""

_DTYPE_SINCE = Version("4.56")
"""The release of transformers in which ``torch_dtype`` became ``dtype``."""

_PARAMETERS = {
    "--chat-template": "chat_template",
    "--n-gpu-layers": "n_gpu_layers",
    "--parallel": "n_parallel",
    "--threads": "cpuparams.n_threads",
    "--threads-batch": "cpuparams_batch.n_threads",
}
"""Option of llama-server -> the parameter of xllamacpp, as in ``servers/llama_cpp.py``."""


def load_in_python(recipe: Recipe) -> str:
    """'' for a backend of another package, and for a server that is no library."""
    source = recipe.deployment.source
    writer = _WRITERS.get(source.engine)
    if writer is None or source.server not in ("", "llama.cpp"):
        return ""
    return "\n".join([*_before(recipe), *writer(recipe)])


def ask_with_openai(recipe: Recipe) -> str:
    """One request by the official client."""
    imports, key = ["from openai import OpenAI"], "'none'"
    if recipe.deployment.source.server == "url":
        imports, key = ["import os", *imports], f"os.environ.get('{API_KEY}', 'none')"
    if recipe.sees:
        imports = ["import base64", "from pathlib import Path", *imports]
    return "\n".join([*imports, "", *request_lines(recipe, key)])


def _before(recipe: Recipe) -> Iterator[str]:
    """What is to be known, and the variables, which libraries read when they are imported."""
    source = recipe.deployment.source
    if "reload_per_image" in source.workarounds:
        yield "# Its documents load it again for each image (reload_per_image)."
    if source.remote_code:
        yield "# It runs code that comes with its files: read that first."
    for name in source.also_needs:
        yield f"# The library takes the tokenizer of {name!a} too."
    variables = {name: value for name, value in source.environment.items() if not is_secret(name)}
    if variables or "os.environ[" in literal(source.options):
        yield "import os"
    if variables:
        yield f"os.environ.update({variables!r})"


def _mlx(recipe: Recipe) -> list[str]:
    source, model = recipe.deployment.source, recipe.deployment.model
    settings = model.generation
    code = {"trust_remote_code": True} if source.remote_code else {}
    options, unpacked = options_line({**source.options, **code})
    template, applied = template_line(recipe)
    if recipe.sees and model.family in _ONE_TEXT:
        function = "apply_chat_template"
        prompt = [
            f"question = {QUESTION!r}",
            f"prompt = {function}(processor, model.config, question, num_images=1{applied})",
        ]
    else:
        function = "get_chat_template"
        prompt = [
            *message_lines(recipe, "{'type': 'image'}"),
            f"prompt = {function}(processor, messages, add_generation_prompt=True{applied})",
        ]
    return [
        *import_lines(
            recipe,
            "from mlx_vlm import load, stream_generate",
            f"from mlx_vlm.prompt_utils import {function}",
        ),
        *folder_lines(recipe),
        *options,
        *template,
        f"model, processor = load(folder{unpacked})",
        *prompt,
        f"images = {[PICTURE] if recipe.sees else None!r}",
        "for piece in stream_generate(",
        "    model, processor, prompt, image=images,",
        f"    max_tokens={settings.max_tokens}, temperature={settings.temperature},",
        "):",
        "    print(piece.text, end='', flush=True)",
    ]


def _torch(recipe: Recipe) -> list[str]:
    source, settings = recipe.deployment.source, recipe.deployment.model.generation
    files: dict[str, Any] = {"gguf_file": source.model_file} if source.model_file else {}
    files |= {"trust_remote_code": True} if source.remote_code else {}
    release = recipe.version("transformers")
    is_old = release and Version(release) < _DTYPE_SINCE
    options, unpacked = options_line(
        {"torch_dtype" if is_old else "dtype": "auto", **source.options, **files}
    )
    file_options = "".join(f", {name}={value!r}" for name, value in files.items())
    template, applied = template_line(recipe)
    device = recipe.row.load.device if recipe.row and recipe.row.load else "cpu"
    temperature = settings.temperature if settings.temperature > 0 else None
    if recipe.sees:
        model_class, reader_class = "AutoModelForImageTextToText", "AutoProcessor"
        decoder = "processor.tokenizer"
        opener = ["from transformers.image_utils import load_image"]
        inputs = [
            f"images = [load_image({PICTURE!r})]",
            "inputs = processor(text=[prompt], images=images, return_tensors='pt')",
            f"inputs = inputs.to({device!r}, dtype=model.dtype)",
        ]
    else:
        model_class, reader_class, decoder = "AutoModelForCausalLM", "AutoTokenizer", "processor"
        opener = []
        inputs = [
            "inputs = processor(prompt, return_tensors='pt', add_special_tokens=False)",
            f"inputs = inputs.to({device!r})",
        ]
    return [
        *import_lines(
            recipe,
            "import torch",
            f"from transformers import {model_class}, {reader_class}",
            *opener,
        ),
        *folder_lines(recipe),
        *options,
        *template,
        f"processor = {reader_class}.from_pretrained(folder{file_options})",
        f"model = {model_class}.from_pretrained(folder{unpacked})",
        f"model = model.to({device!r}).eval()",
        *message_lines(recipe, "{'type': 'image'}"),
        "prompt = processor.apply_chat_template(",
        f"    messages, tokenize=False, add_generation_prompt=True{applied}",
        ")",
        *inputs,
        "with torch.inference_mode():",
        "    tokens = model.generate(",
        f"        **inputs, max_new_tokens={settings.max_tokens}, repetition_penalty=1.0,",
        f"        do_sample={temperature is not None}, temperature={temperature},",
        "    )",
        "answer = tokens[0, inputs['input_ids'].shape[1]:]",
        f"print({decoder}.decode(answer, skip_special_tokens=True))",
    ]


def _llamacpp(recipe: Recipe) -> list[str]:
    source, model = recipe.deployment.source, recipe.deployment.model
    options, unpacked = options_line(source.options)
    handler, libraries, lines = "None", ["from llama_cpp import Llama"], []
    if recipe.sees:
        libraries.append("from llama_cpp.llama_chat_format import MTMDChatHandler")
        lines = [
            f"projector = str(Path(folder, {source.mmproj_file!r}))",
            f"image = Path({PICTURE!r}).resolve().as_uri()",
        ]
        handler = "MTMDChatHandler(clip_model_path=projector, verbose=False)"
    return [
        "from pathlib import Path",
        *import_lines(recipe, *libraries),
        *folder_lines(recipe),
        *options,
        *lines,
        "model = Llama(",
        f"    str(Path(folder, {load_request(recipe.deployment).model_file!r})),",
        f"    chat_handler={handler},",
        f"    n_ctx={model.context}, n_gpu_layers=-1, verbose=False{unpacked},",
        ")",
        *message_lines(recipe, "{'type': 'image_url', 'image_url': {'url': image}}"),
        "for piece in model.create_chat_completion(",
        f"    messages, max_tokens={model.generation.max_tokens},",
        f"    temperature={model.generation.temperature}, repeat_penalty=1.0,",
        "    top_k=0, top_p=1.0, min_p=0.0, stream=True,",
        "):",
        "    print(piece['choices'][0]['delta'].get('content') or '', end='', flush=True)",
    ]


def _llama_cpp(recipe: Recipe) -> list[str]:
    """llama.cpp's server in this process: what its command line says, as parameters."""
    source, model = recipe.deployment.source, recipe.deployment.model
    words = [str(word) for word in source.options.get("arguments", ())]
    arguments = dict(zip(words[::2], words[1::2], strict=False))
    settings: dict[str, Any] = {"n_ctx": model.context, "n_gpu_layers": 999, "port": recipe.port}
    settings |= {"chat_template": model.chat_template} if model.chat_template else {}
    settings |= {
        _PARAMETERS[name]: int(value) if value.isdigit() else value
        for name, value in arguments.items()
        if name in _PARAMETERS
    }
    files = {"model": load_request(recipe.deployment).model_file, "mmproj": source.mmproj_file}
    return [
        *(["import base64"] if recipe.sees else []),
        "from pathlib import Path",
        *import_lines(recipe, "import xllamacpp", "from openai import OpenAI"),
        *folder_lines(recipe),
        "parameters = xllamacpp.CommonParams()",
        *(
            f"parameters.{part}.path = str(Path(folder, {file!r}))"
            for part, file in files.items()
            if file
        ),
        *(f"parameters.{name} = {value!r}" for name, value in settings.items()),
        f"parameters.model_alias = {{{recipe.served_as!r}}}",
        "server = xllamacpp.Server(parameters)  # on 127.0.0.1, until this process ends",
        *request_lines(recipe, "'none'"),
    ]


_WRITERS: dict[str, Callable[[Recipe], list[str]]] = {
    "mlx": _mlx,
    "torch": _torch,
    "llamacpp": _llamacpp,
    "llama.cpp": _llama_cpp,
}
