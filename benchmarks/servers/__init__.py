"""Are server timings accurate, and is anything left behind when a process is killed?

``timings`` compares our times of llama-server with its own; ``cycles`` kills parents, guards and
servers at random moments. Each runs as ``python -m benchmarks.servers.NAME``.
"""
