"""This harness measured: its speed figures beside other tools', its gate on itself, its servers.

``speed`` are the rows of ``python -m benchmarks`` (``make bench``); ``gate`` has the upgrade gate's
false alarms, power and simulation; ``servers`` has server timings and kills. Each writes its report
beside its code. A benchmark may import any room of ``qualification``; nothing imports a benchmark.
"""
