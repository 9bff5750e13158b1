"""What the parent and the worker both know of the Hugging Face hub.

Imports the standard library and ``core``; huggingface_hub only inside functions. Start reading in
``files.py``.
"""

SAYS = "qualification: "
"""How a line of a worker's log begins that is for people: the parent shows it while it waits."""
