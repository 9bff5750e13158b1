"""A model of a user without a declaration: where its files are, and what they say. Pure reading.

``targets`` finds the files of what ``pytest --model`` names; ``inference`` makes a declared model
of them by their own configuration or metadata. Nothing is loaded or downloaded, no code is run.
"""
