"""Benchmarks, run from the checkout's root as python -m benchmarks.<device>; never installed."""
