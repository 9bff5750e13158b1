"""From the raw trials of a deployment to its printed figures: what ``qualify explain`` prints.

Start here: ``stored_deployment``, which makes the tree, and ``lines``, which writes it.
"""
