"""`benchmarks/gpu.sh OUT_DIR`: one command that builds, tests and measures on a machine with a GPU.

main.py says which steps there are, steps.py how they are run and told. bench.py is the benchmark:
cases.py says what is rotated, providers.py by whom, clock.py how it is timed, facts.py where.
"""
