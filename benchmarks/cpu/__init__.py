"""`make bench`: the rotation on this CPU, beside the limit and other implementations, in one run.

cases.py says what is rotated and workload.py makes it; providers.py says by whom, out of ours.py,
peers.py, onnx_runtime.py and other_peers.py; clock.py how it is timed; graph.py, tables.py and
host.py measure what is no case; runner.py puts them together. targets.py and losses.py judge a
result; machine.py and report.py say where it ran and what came out.
"""
