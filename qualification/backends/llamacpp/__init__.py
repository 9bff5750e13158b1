"""How does llama-cpp-python load a GGUF and answer? Imports llama_cpp; start with ``backend``.

``mtmd_calls`` counts and times the multimodal calls of the library.
"""
