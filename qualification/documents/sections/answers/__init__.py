"""What is asked of a recommendation, answered from records alone.

``of_the_pick`` needs its own row, ``of_several`` compares it with others.
"""
