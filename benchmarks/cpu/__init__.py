"""`make bench`: the rotation on this CPU, beside the limit and other implementations, in one run.

cases.py says what is rotated, providers.py and peers.py by whom, clock.py how it is timed,
runner.py puts them together, machine.py and report.py say where it ran and what came out.
"""
