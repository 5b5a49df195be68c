"""Seeded faults: what a person might get wrong in kernels/ and csrc/, and whether the tests notice.
run.py is the program; the faults_*.py are the faults, which tests/setup/test_mutants.py keeps true.
"""
