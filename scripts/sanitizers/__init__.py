"""Fuzzing below torch, and the Python tests in a build under sanitizers; see run.py."""
