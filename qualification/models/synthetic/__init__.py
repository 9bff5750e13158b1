"""Weights of random values at a real model's shape: made here, cached, never downloaded.

They load through the same loaders, processors and chat templates as the real ones and cost the same
time and memory; what they answer is noise. ``cache`` is the way in.
"""
