"""``python -m qualification``: the ``qualify`` command."""

from qualification.cli import main

main(prog_name="qualify")
