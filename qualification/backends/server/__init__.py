"""How is a model asked that another process serves? Imports openai and httpx2.

Start with ``backend``; ``stream`` reads a streamed answer, ``tokens`` finds each token's time.
"""
