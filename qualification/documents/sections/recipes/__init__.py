"""How is a deployment run by hand? Commands and code as text, nothing is run here.

Start with ``shell`` (install, download, serve, ask); ``python`` loads it without a server.
"""
