"""What is this computer, in what state is it, and what does a process hold?

May import ``core`` only. Start with probe.py (chip, memory, tier); conditions.py says whether the
machine is fit for measurements, readiness.py which backends can run on it.
"""
