"""Qualify a machine, or a new release of its libraries, for vision-language models."""

__version__ = "0.1.0"
