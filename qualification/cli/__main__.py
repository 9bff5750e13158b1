"""``python -m qualification.cli``: the ``qualify`` command."""

from qualification.cli import main

main()
