"""What is broken in a library's build on this machine, and how is it avoided?

Each module stands alone: ``servers/launch.py`` loads it by its path in a server's process, where
this project need not be installed. ``remote_code`` is used by workers only.
"""
