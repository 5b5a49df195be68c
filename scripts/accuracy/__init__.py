"""The measurements, tables and figures of docs/numerics.md; see run.py."""
