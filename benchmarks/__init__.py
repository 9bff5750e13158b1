"""This harness against its peers, on the same weights, in one interleaved run: ``make bench``."""
