"""The compiler matrix: the same hashes from every compiler; see run.py."""
